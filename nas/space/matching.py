"""Compare the blocks of picks with the blocks of an architecture."""

from collections.abc import Sequence
from dataclasses import fields

from nas.network.blocks import Block, Blocks
from nas.space.rows import Column, Picks, Row, Value, multiplied, times


class Nearest:
    """Finds the picks whose blocks differ from the wanted ones in the fewest fields."""

    def __init__(self, wanted: tuple[Blocks, ...]) -> None:
        """Look for blocks equal to `wanted`, which has one or more parts."""
        self.wanted = wanted
        self.picks: Picks = {}
        self.blocks: tuple[Blocks, ...] = tuple(() for _ in wanted)
        self._distance = float("inf")

    @property
    def exact(self) -> bool:
        """Whether the nearest blocks are equal to the wanted ones."""
        return self._distance == 0

    def add(self, picks: Picks, blocks: tuple[Blocks, ...]) -> None:
        """Compare the blocks of `picks`; among equally near ones the first is kept."""
        distance = sum(map(_apart, self.wanted, blocks))
        if distance < self._distance:
            self._distance, self.picks, self.blocks = distance, picks, blocks


def _apart(one: Blocks, other: Blocks) -> int:
    """Return the number of fields in which blocks differ; a missing block differs in all."""
    if one == other:
        return 0
    missing = abs(len(one) - len(other)) * len(fields(Block))
    return missing + sum(_fields_apart(a, b) for a, b in zip(one, other, strict=False))


def _fields_apart(one: Block, other: Block) -> int:
    return sum(getattr(one, f.name) != getattr(other, f.name) for f in fields(Block))


def difference(place: str, found: Blocks, nearest: Blocks) -> str:
    """Describe the first field that differs between two rows of blocks."""
    if len(found) != len(nearest):
        return f"{place} has {len(found)} blocks where the space has {len(nearest)}"
    for i, (one, other) in enumerate(zip(found, nearest, strict=True)):
        for f in fields(Block):
            a, b = getattr(one, f.name), getattr(other, f.name)
            if a != b:
                return f"{place}, block {i + 1}: {f.name} is {a}, the nearest choice has {b}"
    return f"{place} differs"


def misfit(rows: Sequence[Row], stages: Sequence[Blocks], multiplier: float) -> tuple[int, float]:
    """Return the number of stages without a fitting width, and the multiplier's distance from 1."""
    wrong = 0
    for row, blocks in zip(rows, stages, strict=True):
        widths = [multiplied(int(width), multiplier) for width in row.options["width"]]
        wrong += any(block.out_channels not in widths for block in blocks)
    return wrong, abs(multiplier - 1)


def plausible(column: Column, blocks: Blocks, multiplier: float) -> tuple[Value, ...]:
    """Return the values of a stage's choice that may have given its blocks, at least one."""
    if not blocks:
        return column.values[:1]
    fitting = tuple(v for v in column.values if _fits(column.field, v, blocks, multiplier))
    return fitting or column.values[:1]


def _fits(field: str, value: Value, blocks: Blocks, multiplier: float) -> bool:
    """Return whether `value` may have given the first block that has this field."""
    block = blocks[1] if field == "expansion_rest" and len(blocks) > 1 else blocks[0]
    match field:
        case "kind" | "kernel" | "act" | "stride":
            return bool(getattr(block, field) == value)
        case "width":
            return multiplied(int(value), multiplier) == block.out_channels
        case "expansion" | "expansion_rest":
            return times(block.in_channels, value) == block.hidden_channels
        case "se":
            return bool(value) == bool(block.se_channels)
    return True
