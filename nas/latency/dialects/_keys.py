"""The common grammar of the dialects' keys: KIND-input:HxWxC-output:HxWxC-NAME:NUMBER."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.core.errors import NasError, unknown
from nas.core.text import LONGEST_VALUE, printable, shown
from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.network.lowering import lower_block

_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: a kind of layer, height, width and channels in and out, and named numbers.

    The output of a classifier is only its number of classes.
    """

    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the key as it is written in a file."""
        shapes = f"input:{_joined(self.input)}-output:{_joined(self.output)}"
        numbers = "".join(f"-{name}:{number}" for name, number in self.numbers.items())
        return f"{self.kind}-{shapes}{numbers}"

    @property
    def in_shape(self) -> Shape:
        """The input as channels, height, width."""
        height, width, channels = self.input
        return (channels, height, width)

    def flag(self, name: str) -> bool:
        """Return a number that is 0 or 1 as a truth value.

        Raises:
            NasError: if it is another number.
        """
        if self.numbers[name] not in (0, 1):
            raise NasError(f"{name} must be 0 or 1, not {self.numbers[name]}")
        return self.numbers[name] == 1


def parse(text: str, kinds: Mapping[str, tuple[str, ...]]) -> Key:
    """Return the key in `text`; `kinds` names the numbers that keys of each kind have.

    Raises:
        NasError: if it is of another kind, lacks a number, or has one too many.
    """
    kind, *parts = text.split("-")
    if kind not in kinds:
        raise unknown("kind of layer", kind, kinds)
    values: dict[str, tuple[int, ...]] = {}
    for part in parts:
        name, _, value = part.partition(":")
        values[name] = _numbers(part, value)
    wanted = ("input", "output", *kinds[kind])
    if tuple(values) != wanted or len(parts) > len(values):
        found = printable(", ".join(values), LONGEST_VALUE)
        raise NasError(f"{kind} has {found}; expected {', '.join(wanted)}, each once")
    expected = {"input": 3, "output": 1 if kind == "Logits" else 3}
    for name, numbers in values.items():
        if len(numbers) != expected.get(name, 1):
            raise NasError(f"{name} has {len(numbers)} numbers, not {expected.get(name, 1)}")
    if not all((*values["input"], *values["output"])):
        raise NasError("input and output must be at least 1 in every dimension")
    named = {name: values[name][0] for name in kinds[kind]}
    return Key(kind=kind, input=values["input"], output=values["output"], numbers=named)


def lowered(key: Key, block: Block) -> Unit:
    """Return the unit of `block` on the input of `key`, and check the key's output and shortcut.

    Raises:
        NasError: if the key contradicts itself.
    """
    unit = lower_block(block, key.in_shape)
    channels, height, width = unit.out_shape
    if key.output not in ((height, width, channels), (channels,)):
        raise NasError(f"its output would be {_joined((height, width, channels))}")
    if "idskip" in key.numbers and key.flag("idskip") != (unit.shortcut == "identity"):
        raise NasError("idskip is 1, but input and output differ, so there is no shortcut")
    return unit


def shapes(unit: Unit) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes in and out of `unit` as height, width, channels."""
    (c_in, h_in, w_in), (c_out, h_out, w_out) = unit.in_shape, unit.out_shape
    return (h_in, w_in, c_in), (h_out, w_out, c_out)


def _numbers(part: str, value: str) -> tuple[int, ...]:
    texts = value.split("x")
    digits = all(text.isascii() and text.isdecimal() for text in texts)
    if not digits or max(map(len, texts)) > _MAX_DIGITS:
        raise NasError(f"cannot read {shown(part)}; expected a name and whole numbers, as expand:6")
    return tuple(int(text) for text in texts)


def _joined(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))
