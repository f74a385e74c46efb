"""Tails of networks, which some heads halve: where they begin, and which SE rule they follow."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.network.arrays import NUMBERS, BlockArrays, Ints, Places
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.multipliers import DIVISOR, is_quarter
from nas.space.lookup import Floats, Lookup, SpaceUnits
from nas.space.slots import HEAD, Part, Slot, slots_of
from nas.space.space import Matrix, Space

Halve = Callable[[Block, str, int], Block]
"""See `nas.network.detectors.Taps.halved`."""
_DIVISORS = (0, DIVISOR, 1)
"""The arguments of `squeeze_by`, in the order in which they are tried."""


class Tail(NamedTuple):
    """The last stage that has blocks, and the divisor of `squeeze_by` that fits the network."""

    stage: int
    divisor: int


class Tails:
    """Computes the tail of each row of a matrix, as a code."""

    def __init__(self, space: Space) -> None:
        """Inspect all blocks of `space` once."""
        slots = slots_of(space)
        self._names = [column.name for column in space.columns]
        self._space = space
        self._quarters = Lookup(space, _no_quarter, largest=True, units=_units(space, slots))
        bare = [replace(s, build=_nothing) if s.place == HEAD else s for s in slots]
        self._multiples = Lookup(space, _no_multiple, largest=True, units=_units(space, bare))

    def __call__(self, matrix: Matrix) -> NDArray[np.int64]:
        """Return the code of the tail of each row."""
        last = np.zeros(len(matrix), np.int64)
        for stage in range(len(self._space.stages)):
            last[self._has_blocks(stage, matrix)] = stage
        other = (self._quarters(matrix)[:, 0] > 0).astype(np.int64)
        rule = other * (1 + (self._multiples(matrix)[:, 0] > 0))
        return last * len(_DIVISORS) + rule

    def tail(self, code: int) -> Tail:
        """Return the tail with this code."""
        return Tail(stage=code // len(_DIVISORS), divisor=_DIVISORS[code % len(_DIVISORS)])

    def _has_blocks(self, stage: int, matrix: Matrix) -> NDArray[np.bool_]:
        name, depths = f"stage{stage + 1}_layers", self._space.stages[stage].options["layers"]
        has = np.array([bool(depth) for depth in depths])
        if name not in self._names:
            return np.full(len(matrix), has[0])
        return np.asarray(has[matrix[:, self._names.index(name)]])


def _units(space: Space, slots: Sequence[Slot]) -> SpaceUnits:
    return SpaceUnits(space, slots=slots)


def _nothing(places: Places, digits: Sequence[Ints | int]) -> Iterator[Part]:
    yield from ()


def _no_quarter(units: Unit) -> tuple[Floats, ...]:
    block = units.block
    pairs = np.stack(np.broadcast_arrays(block.se_channels, block.hidden_channels), axis=1)
    unique, which = np.unique(pairs, axis=0, return_inverse=True)
    others = [se > 0 and not is_quarter(int(se), int(hidden)) for se, hidden in unique.tolist()]
    return (np.array(others, float)[which.ravel()],)


def _no_multiple(units: Unit) -> tuple[Floats, ...]:
    return (np.asarray(units.block.se_channels % DIVISOR > 0, float),)


def halved(slots: Sequence[Slot], halve: Halve, tail: Tail) -> Iterator[Slot]:
    """Yield the slots of networks with `tail`, with channels halved from its stage on."""
    stage = -1
    for slot in slots:
        if slot.place == HEAD:
            part = "head"
        elif slot.place.startswith("stages."):
            stage, part = int(slot.place.split(".")[1]), "first"
        else:
            part = "rest"
        if part == "head" or stage == tail.stage:
            change = cache(partial(_halved, halve, part, tail.divisor))
            yield replace(slot, build=partial(_changed, slot.build, change))
        else:
            yield slot


def _halved(halve: Halve, part: str, divisor: int, block: Block) -> Block:
    return halve(block, part, divisor)


def _changed(
    build: Callable[[Places, Sequence[Ints | int]], Iterator[Part]],
    change: Callable[[Block], Block],
    places: Places,
    digits: Sequence[Ints | int],
) -> Iterator[Part]:
    for part in build(places, digits):
        yield replace(part, blocks=_changed_blocks(part.blocks, change))


def _changed_blocks(blocks: BlockArrays, change: Callable[[Block], Block]) -> BlockArrays:
    """Return `blocks` with each changed by `change`, called once for equal ones."""
    numbers = np.stack([getattr(blocks, name) for name in NUMBERS], axis=1)
    unique, which = np.unique(numbers, axis=0, return_inverse=True)
    common = ("kind", "stride", "act", "se_act", "gate", "skip")
    texts = {name: getattr(blocks, name) for name in common}
    made = [
        change(Block(**texts, **dict(zip(NUMBERS, row, strict=True)))) for row in unique.tolist()
    ]
    found: dict[str, Any] = {
        name: np.array([getattr(block, name) for block in made])[which.ravel()] for name in NUMBERS
    }
    return replace(blocks, **found)
