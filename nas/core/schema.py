"""Read records into dataclasses strictly, with errors that name the file, line and key.

The annotations of the class decide how each field is read: `str`, `bool`, `int` (a whole number
>= 0), `float` (a finite number >= 0), `X | None`, `tuple[X, ...]`, `tuple[X, Y]`,
`Mapping[str, X]`, another dataclass, `list`, or `Any`. Other ranges are given by `Annotated`, as in
`Fraction` and `Signed`. This module needs only the standard library, so that it runs on the devices
that are measured.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from math import inf
from pathlib import Path
from sys import float_info
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from nas.core.errors import BadFile, BadValue, NasError, unknown
from nas.core.text import shown

SCHEMA = 1
LARGEST = 2**63 - 1
"""The largest whole number that numpy, torch and all our file formats can hold."""

T = TypeVar("T")
_Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `least` to `most`; with `above`, `least` itself is excluded."""

    least: float = -inf
    most: float = inf
    above: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` is in the range."""
        return (self.least < value if self.above else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        """Return the range as text to follow "a number"."""
        if self.most < inf and self.least > -inf and not self.above:
            return f" from {_limit(self.least)} to {_limit(self.most)}"
        low = "" if self.least == -inf else f" {'>' if self.above else '>='} {_limit(self.least)}"
        high = "" if self.most == inf else f" <= {_limit(self.most)}"
        return f"{low}{' and' if low and high else ''}{high}"


def _limit(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The only texts that a field may have."""

    known: tuple[str, ...]


Signed = Annotated[float, Range()]
Positive = Annotated[float, Range(0, above=True)]
Fraction = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(1)]
PREDICTED = Range(-0.5, 1.5)
"""Predicted accuracies: fractions, but a fitted model may go below 0 or above 1."""
Predicted = Annotated[float, PREDICTED]
Milliseconds = Annotated[float, Range(0, 1e9)]
"""At most eleven days, so that sums over networks stay finite."""
Seconds = Annotated[float, Range(0, 1e12)]
Coefficient = Annotated[float, Range(0, 1e9)]
Name = Annotated[str, "or a whole number"]
"""A text that may look like a number, such as the name of a candidate."""
Texts = Annotated[tuple[str, ...], "or one text"]
"""A list of texts; a single text stands for a list of one."""


class FromFile(str):
    """A text from a file; code that it names runs only if the user allows it."""

    __slots__ = ()


class InvalidValue(Exception):
    """A wrong value in a record; `path` leads to it, and `Reader` adds the file.

    With `about_keys`, the keys of the mapping around the last step are wrong.
    """

    def __init__(self, problem: str, *path: str | int, about_keys: bool = False) -> None:
        """Store the problem and the path to it."""
        super().__init__(problem)
        self.problem, self.path, self.about_keys = problem, path, about_keys

    def inside(self, step: str | int) -> "InvalidValue":
        """Return the same error for the mapping or list that holds the value at `step`."""
        return InvalidValue(self.problem, step, *self.path, about_keys=self.about_keys)


class Reader:
    """Reads the values of a file, or of one line of it, and reports where a bad one is."""

    def __init__(
        self,
        path: Path | str,
        *,
        line: int | None = None,
        error: type[NasError] = BadFile,
        damage: str = "",
        then: str = "",
    ) -> None:
        """Read the file at `path`, or only its `line` if it has one record per line.

        Problems are raised as `error`; the message puts `damage` before the problem, and `then`,
        which says what to do, after it.
        """
        self.path, self.line, self._error = path, line, error
        self._damage, self._then = damage, then

    def fail(self, problem: str, data: Any = None, *path: str | int) -> NasError:
        """Return the error for a `problem` at the end of `path` in `data`."""
        place = str(self.path)
        where = f"{place}, line {self.line}" if self.line else locate(data, path, place)
        return self._error(f"{where}: {self._damage}{problem}{self._then}")

    def bad(self, data: Any, key: Any, expected: str) -> NasError:
        """Return the error for the value of `key` in `data`."""
        return self.fail(f"{key} must be {expected}, not {shown(data[key])}", data, key)

    def record(self, data: Any, kind: type[T], *, more: bool = False) -> T:
        """Return the mapping `data` as a record of class `kind`.

        Fields with a default may be missing; with `more`, unknown keys are ignored.

        Raises:
            BadFile: or the reader's own error, naming the key that is unknown, missing or wrong.
        """
        made: T = self._read(data, partial(_record, kind=kind, more=more))
        return made

    def get(self, data: Any, key: str | int, kind: Any) -> Any:
        """Return the value of `key` in `data`, read as type `kind` (see the module docstring).

        Raises:
            BadFile: or the reader's own error, if it is not of this type.
        """
        return self._read(data, partial(_at, key=key, read=_check(kind)))

    def _read(self, data: Any, read: _Read) -> Any:
        try:
            return read(data)
        except InvalidValue as wrong:
            path = wrong.path[:-1] if wrong.about_keys else wrong.path
            name = ".".join(map(str, path))
            problem = f"{name}{': ' if wrong.about_keys else ' '}{wrong.problem}"
            raise self.fail(problem if name else wrong.problem, data, *wrong.path) from None


def check_keys(
    data: Mapping[str, Any], *, known: Collection[str], required: Collection[str], place: str
) -> None:
    """Reject unknown and missing keys.

    Raises:
        BadFile: naming `place`, the line if known, and the key.
    """
    try:
        _check_keys(data, known, required)
    except InvalidValue as wrong:
        raise BadFile(f"{locate(data, wrong.path, place)}: {wrong.problem}") from None


def check_schema(data: Mapping[str, Any], *, place: str) -> None:
    """Reject any schema but this version's.

    Raises:
        BadFile: naming `place` and what was found.
    """
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise BadFile(f"{place}: schema is {shown(schema)}; this version reads {SCHEMA}")


def locate(data: Any, path: Sequence[Any], place: str) -> str:
    """Return `place` with the line to which `path` leads in `data`, if known."""
    line = None
    for step in path:
        line = getattr(data, "lines", {}).get(step, line)
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):  # the missing value itself
            break
    line = min(getattr(data, "lines", {}).values(), default=line)
    return f"{place}, line {line}" if line else place


def _check_keys(data: Mapping[str, Any], known: Collection[str], required: Collection[str]) -> None:
    for key in data:
        if key not in known:
            raise InvalidValue(str(unknown("key", str(key), known)), key, about_keys=True)
    missing = [key for key in required if key not in data]
    if missing:
        raise InvalidValue(f"missing {', '.join(missing)}", missing[0], about_keys=True)


# Readers by type


@cache
def _check(kind: Any) -> _Read:
    """Return a function that reads a value of type `kind`, and raises `InvalidValue` for others."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(_record, kind=kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _limited(args[0], args[1])
    if origin in (Union, UnionType):
        (inner,) = (arg for arg in args if arg is not NoneType)
        return partial(_maybe, read=_check(inner))
    if origin is tuple:
        if args[-1] is Ellipsis:
            return partial(_list, read=_check(args[0]))
        return partial(_fixed, reads=tuple(map(_check, args)))
    if origin is Mapping:
        return partial(_mapping, read=_check(args[1]))
    raise TypeError(f"no values of type {kind} are read")


def _limited(kind: type, limit: Range | OneOf) -> _Read:
    if isinstance(limit, OneOf):
        return partial(_one_of, known=limit.known)
    return partial(_whole if kind is int else _number, allowed=limit)


def _expected(noun: str, value: Any) -> InvalidValue:
    return InvalidValue(f"must be {noun}, not {shown(value)}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _expected("a text", value)
    return FromFile(value)


def _name(value: Any) -> str:
    return FromFile(value) if type(value) is int else _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise _expected("a list of texts", value)
    return tuple(map(FromFile, values))


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _expected("true or false", value)
    return value


def _whole(value: Any, allowed: Range = Range(0)) -> int:
    if type(value) is not int or not allowed.holds(value):
        raise _expected(f"a whole number{allowed}", value)
    if abs(value) > LARGEST:
        raise _expected(f"a whole number of at most {LARGEST}", value)
    return value


def _number(value: Any, allowed: Range = Range(0)) -> float:
    is_number = type(value) in (int, float) and abs(value) <= float_info.max
    if not is_number or not allowed.holds(value):
        raise _expected(f"a number{allowed}", value)
    return float(value)


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise _expected(f"one of {', '.join(known)}", value)
    return value


def _maybe(value: Any, read: _Read) -> Any:
    return None if value is None else read(value)


def _list(value: Any, read: _Read) -> tuple[Any, ...]:
    _plain_list(value)
    return tuple(_at(value, key=i, read=read) for i in range(len(value)))


def _plain_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _expected("a list", value)
    return value


def _fixed(value: Any, reads: tuple[_Read, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) != len(reads):
        raise _expected(f"a list of {len(reads)} values", value)
    return tuple(_at(value, key=i, read=read) for i, read in enumerate(reads))


def _mapping(value: Any, read: _Read) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _expected("a mapping", value)
    for key in value:
        if not isinstance(key, str):
            raise InvalidValue(f"key {shown(key)} must be a text", key, about_keys=True)
    if read is _anything:
        return value
    return {key: _at(value, key=key, read=read) for key in value}


def _anything(value: Any) -> Any:
    return value


def _at(data: Any, *, key: str | int, read: _Read) -> Any:
    try:
        return read(data[key])
    except InvalidValue as wrong:
        raise wrong.inside(key) from None


def _record(value: Any, kind: type, more: bool = False) -> Any:
    if not isinstance(value, Mapping):
        raise _expected("a mapping", value)
    known, required = _fields(kind)
    _check_keys(value, value if more else known, required)
    found = {key: _at(value, key=key, read=known[key]) for key in value if key in known}
    try:
        return kind(**found)
    except BadValue as error:
        path = error.path if error.path and error.path[0] in value else ()
        raise InvalidValue(str(error), *path, about_keys=True) from None
    except NasError as error:
        raise InvalidValue(str(error), about_keys=True) from None


@cache
def _fields(kind: type) -> tuple[Mapping[str, _Read], tuple[str, ...]]:
    """Return a reader for each field of a record, and the names of required fields."""
    types = get_type_hints(kind, include_extras=True)
    known = [f for f in fields(kind) if f.init]
    required = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    return {f.name: _check(types[f.name]) for f in known}, tuple(required)


_PLAIN: Mapping[Any, _Read] = {
    str: _text,
    Name: _name,
    Texts: _texts,
    bool: _flag,
    int: _whole,
    float: _number,
    list: _plain_list,
    Any: _anything,
}
