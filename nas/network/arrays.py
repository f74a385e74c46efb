"""Lower many blocks at once: they differ only in their numbers, each of which is an array.

The rules for a single block lower them. Code that only adds, multiplies and compares the numbers in
layers (cost, the counts of the latency predictor) works on the result as on a single unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.network.lowering import kind_of, lower_block, out_shape, shortcut

Ints = NDArray[np.int64]
Places = NDArray[np.intp]

NUMBERS = ("in_channels", "out_channels", "hidden_channels", "kernel", "se_channels")
"""The fields that are arrays; the blocks agree in all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockArrays:
    """Several blocks, with the fields of `Block`; each of `NUMBERS` is an array of shape (blocks,).

    The properties `expands`, `squeezes` and `keeps_channels` are valid only for blocks that agree
    in them; see `alike`.
    """

    kind: str
    in_channels: Ints
    out_channels: Ints
    hidden_channels: Ints
    kernel: Ints
    stride: int
    se_channels: Ints
    act: str
    se_act: str
    gate: str
    skip: str

    @classmethod
    def of(cls, values: Mapping[str, Any], count: int) -> "BlockArrays":
        """Return `count` blocks; each number in `values` is an array, or one value for all."""
        numbers = ((name, values[name]) for name in NUMBERS)
        arrays = {n: v if isinstance(v, np.ndarray) else np.full(count, v) for n, v in numbers}
        return cls(**{**values, **arrays})

    @classmethod
    def join(cls, parts: Sequence["BlockArrays"]) -> "BlockArrays":
        """Return the blocks of all parts, which differ only in their numbers."""
        joined: dict[str, Any] = {
            n: np.concatenate([getattr(part, n) for part in parts]) for n in NUMBERS
        }
        return replace(parts[0], **joined)

    @property
    def common(self) -> tuple[str | int, ...]:
        """The values that blocks must share to be joined."""
        return self.kind, self.stride, self.act, self.se_act, self.gate, self.skip

    @property
    def expands(self) -> bool:
        """As `Block.expands`."""
        return bool(self.hidden_channels[0] != self.in_channels[0])

    @property
    def squeezes(self) -> bool:
        """As `Block.squeezes`."""
        return bool(self.se_channels[0] > 0)

    @property
    def keeps_channels(self) -> bool:
        """As `Block.keeps_channels`."""
        return bool(self.in_channels[0] == self.out_channels[0])

    def alike(self) -> Iterator[tuple[Places, "BlockArrays"]]:
        """Yield groups of blocks with the same layers and shortcut: their indices and blocks."""
        structure = (
            (self.hidden_channels != self.in_channels) * 4
            + (self.se_channels > 0) * 2
            + (self.in_channels == self.out_channels)
        )
        for number in np.flatnonzero(np.bincount(structure)):
            places = np.flatnonzero(structure == number)
            yield places, replace(self, **{n: getattr(self, n)[places] for n in NUMBERS})


def lower_arrays(blocks: BlockArrays, side: Ints) -> Iterator[tuple[Places, Unit]]:
    """Yield groups of blocks with the same layers: their indices, and one unit of arrays.

    `side` is the side of each block's input, in pixels.
    """
    for places, alike in blocks.alike():
        block = cast(Block, alike)
        shape = cast(Shape, (alike.in_channels, side[places], side[places]))
        layers = kind_of(block.kind).lower(block, shape)
        behind = out_shape(layers)
        yield places, Unit(
            name="", block=block, in_shape=shape, out_shape=behind, layers=layers,
            shortcut=shortcut(block),
        )  # fmt: skip


def side_behind(blocks: BlockArrays, side: Ints) -> Ints:
    """Return the side of each block's output for an input of `side` pixels."""
    found = np.empty_like(side)
    for places, units in lower_arrays(blocks, side):
        found[places] = units.out_shape[1]
    return found


def unit_at(units: Unit, place: int) -> Unit:
    """Return one of the units in a unit of arrays from `lower_arrays`."""
    found: dict[str, Any] = {f.name: getattr(units.block, f.name) for f in fields(BlockArrays)}
    found |= {name: int(found[name][place]) for name in NUMBERS}
    side = int(np.asarray(units.in_shape[1])[place])
    return lower_block(Block(**found), (found["in_channels"], side, side))
