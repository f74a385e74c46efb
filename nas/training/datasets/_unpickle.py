"""Read the pickles of the CIFAR archives without running what a pickle may hold.

A pickle is a program for a machine with a stack. These archives are published as pickles, but
Python's machine imports what a file names, and reserves memory for whatever a file counts. The one
here knows the instructions that such files need and no other. It imports and calls nothing, keeps
no more than the file holds, and takes texts alone for keys. Its results are dictionaries, lists,
texts, numbers and arrays of bytes.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile, BadValue
from nas.core.text import shown


@dataclass(slots=True)
class _Array:
    """An array of bytes, once its state is known."""

    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class _Type:
    """The type of an array."""

    name: Any


@dataclass(frozen=True, slots=True)
class _Name:
    """What a pickle would import."""

    module: str
    name: str


_ARRAY, _TYPE, _ENCODE = "numpy.ndarray", "numpy.dtype", "_codecs.encode"
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_KNOWN = (_ARRAY, _TYPE, _ENCODE, *_RECONSTRUCT)
"""The names in such files, which are never imported."""


@dataclass(slots=True)
class _Machine:
    """The state of the reader: its stack, those below open marks, and its memo.

    `left` is how many bytes may still be made of texts: no more than the file has.
    """

    left: int
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise BadValue("its stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise BadValue(f"it takes something else for a {kind.__name__.strip('_').lower()}")
        return self.stack[-1]

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def import_(self, module: Any, name: Any) -> None:
        if f"{module}.{name}" not in _KNOWN:
            raise BadValue(f"it asks for {module}.{name}")
        self.push(_Name(module, name))

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.top(dict).update(_pairs(items))

    def call(self) -> None:
        name, arguments = self.last(2)
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise BadValue("it calls what is no function")
        match f"{name.module}.{name.name}", arguments:
            case "numpy.dtype", (kind, *_):
                self.push(_Type(kind))
            case "_codecs.encode", (str() as text, "latin1"):
                self.left -= len(text)
                if self.left < 0:
                    raise BadValue("it makes more bytes than it has")
                self.push(text.encode("latin1"))
            case known, _ if known in _RECONSTRUCT:
                self.push(_Array())
            case called, _:
                raise BadValue(f"it calls {called} with {shown(arguments)}")

    def build(self) -> None:
        (state,) = self.last(1)
        if self.stack and isinstance(self.stack[-1], _Type):
            return  # of byte order, which bytes do not have
        self.top(_Array).pixels = _pixels(state)


def _pairs(items: list[Any]) -> dict[str, Any]:
    keys = [_text(key) for key in items[::2]]
    if len(items) % 2 or not all(isinstance(key, str) for key in keys):
        raise BadValue("its keys are no texts")
    return dict(zip(keys, items[1::2], strict=True))


def _pixels(state: Any) -> NDArray[np.uint8]:
    """Return the array of (version, shape, type, order, content), as numpy pickles one."""
    match state:
        case (_, tuple() as shape, _Type(name=b"u1" | "u1"), columns_first, bytes() as content):
            order: Any = "F" if columns_first else "C"
            return np.frombuffer(content, np.uint8).reshape(shape, order=order)
    raise BadValue("it holds an array of another type than bytes")


_VALUES: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_WRITTEN_OUT = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_OF_PYTHON_2 = frozenset(("STRING", "BINSTRING", "SHORT_BINSTRING"))
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.last(1).clear(),
    "PUT": lambda machine, index: machine.remember(index),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GET": lambda machine, index: machine.push(machine.memo[index]),
    "BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.last(3))),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: machine.push(_pairs(machine.since_mark())),
    "APPEND": lambda machine, _: machine.extend(machine.last(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, name: machine.import_(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.import_(*machine.last(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}


def unpickle(content: bytes, *, place: str) -> dict[str, Any]:
    """Return the dictionary of a CIFAR file: texts as str, arrays as uint8.

    Raises:
        BadFile: naming `place`, if it is no such file, or asks for anything else.
    """
    try:
        data = _run(content)
    except Exception as error:  # corrupt bytes raise almost anything
        raise BadFile(f"{place} is no file of a CIFAR archive: {error or 'corrupt'}") from None
    if not isinstance(data, dict):
        raise BadFile(f"{place} is no file of a CIFAR archive: it holds no dictionary")
    return {key: _plain(value) for key, value in data.items()}


def _run(content: bytes) -> Any:
    machine = _Machine(left=len(content))
    for instruction, argument, _ in pickletools.genops(content):
        name = instruction.name
        if name in _WRITTEN_OUT:
            machine.push(argument)
        elif name in _OF_PYTHON_2:
            machine.push(str(argument).encode("latin1"))
        elif name in _VALUES:
            machine.push(_VALUES[name]())
        elif name in _STEPS:
            _STEPS[name](machine, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise BadValue(f"it holds the instruction {name}")
    return machine.stack[-1]


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.pixels
    if isinstance(value, list):
        return [_text(item) for item in value]
    return _text(value)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
