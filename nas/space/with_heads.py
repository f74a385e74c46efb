"""Sum the costs of a space's detectors over thousands of them at once.

A detector is a network of the space, slightly changed, with a head. The units that stay are looked
up as for classifiers. The cost of the head depends on few numbers, the channels of the maps that it
reads (`nas.network.detectors.Taps`), so it is computed once for each of their combinations, from a
detector that has it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nas.network.arrays import BlockArrays, Ints, Places
from nas.network.blocks import Architecture, Block
from nas.network.detectors import Taps, rest_of, splits
from nas.space.lookup import Floats, Lookup, SpaceUnits, UnitValues
from nas.space.slots import HEAD, Part, Slot, slots_of
from nas.space.space import Matrix, Space
from nas.space.tails import Tail, Tails, halved

Build = Callable[[Places, Sequence[Ints | int]], Iterator[Part]]


class Bodies:
    """The units that detectors share with a space's networks, and the keys of all other units.

    `make` returns the detector of a network; `taps` are those of its head, None if the costs of
    each row must be computed from its whole detector.
    """

    def __init__(
        self,
        space: Space,
        make: Callable[[Architecture], Architecture],
        taps: Taps | None,
        *,
        tail: Tail | None = None,
    ) -> None:
        """Number the units, as `SpaceUnits` does; if the head halves tails, those with `tail`.

        For such heads, `of` returns the units for one tail; without `tail`, every row is computed
        from its whole detector.
        """
        self.space, self._make, self._given = space, make, taps
        slots = slots_of(space)
        if taps and taps.halved:
            slots = tuple(halved(slots, taps.halved, tail)) if tail else slots
            taps = taps if tail else None
        self.units = SpaceUnits(space, slots=[_kept(slot, taps) for slot in slots] if taps else ())
        sides = [i for i, column in enumerate(space.columns) if column.field == "resolution"]
        self._columns = sides if taps else list(range(len(space.columns)))
        self.picked, self.apart = len(self._columns), taps is not None and taps.apart
        self._detectors: dict[bytes, Architecture] = {}
        self._channels = [(i, _channels(slot, taps)) for i, slot in _deciding(slots, taps)]

    @cached_property
    def tails(self) -> Tails | None:
        """Computes the tails of rows, if the head halves them."""
        return Tails(self.space) if self._given and self._given.halved else None

    def of(self, tail: Tail) -> "Bodies":
        """Return the units of the detectors with one tail."""
        return Bodies(self.space, self._make, self._given, tail=tail)

    def deciding(self, matrix: Matrix) -> NDArray[np.int64]:
        """Return the numbers on which each row's other units depend, shape (rows, numbers)."""
        places, _ = self.units.positions(matrix)
        starts = self.units.positions.starts
        numbers = [channels[places[i] - starts[i]] for i, channels in self._channels]
        picks = matrix[:, self._columns].astype(np.int64)
        return np.column_stack([picks, *numbers])

    def detector(self, row: Matrix) -> Architecture:
        """Return the detector of one row; recent ones are cached."""
        key = row.tobytes()
        if key not in self._detectors:
            if len(self._detectors) >= _KEPT:
                self._detectors.clear()
            self._detectors[key] = self._make(self.space.decode_row(row))
        return self._detectors[key]

    def examples(self) -> Iterator[tuple[Matrix, Architecture]]:
        """Yield one row, with its detector, for each result of `deciding` among random rows.

        There are enough random rows to contain all frequent combinations.
        """
        rows = self.space.sample_matrix(np.random.default_rng(0), _ROWS)
        _, first = np.unique(self.deciding(rows), axis=0, return_index=True)
        for number in sorted(first.tolist()):
            yield rows[number], self.detector(rows[number])


_ROWS = 4096
_KEPT = 2048


class HeadLookup:
    """The sums of some per-unit values over the detectors of a space."""

    def __init__(
        self,
        bodies: Bodies,
        values: UnitValues,
        whole: Callable[[Architecture], Iterable[float]],
    ) -> None:
        """Sum `values` over units; `whole` computes the same sums for one detector.

        `values` may have further entries after those that `whole` returns.
        """
        self._bodies, self._values, self._whole = bodies, values, whole
        self._sums: dict[Tail | None, _Sums] = {}

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the sums for every row of `matrix`, shape (rows, values)."""
        tails = self._bodies.tails
        if tails is None:
            return self._of(None)(matrix)
        codes, which = np.unique(tails(matrix), return_inverse=True)
        total = np.zeros((len(matrix), 0))
        for number, code in enumerate(codes.tolist()):
            rows = which == number
            found = self._of(tails.tail(code))(matrix[rows])
            total = total if total.size else np.zeros((len(matrix), found.shape[1]))
            total[rows] = found
        return total if len(matrix) else self._of(None)(matrix)

    def _of(self, tail: Tail | None) -> "_Sums":
        if tail not in self._sums:
            bodies = self._bodies.of(tail) if tail else self._bodies
            body = Lookup(bodies.space, self._values, units=bodies.units)
            self._sums[tail] = _Sums(bodies, body, self._whole)
        return self._sums[tail]


class _Sums:
    """The sums over detectors with one tail."""

    def __init__(
        self, bodies: Bodies, body: Lookup, whole: Callable[[Architecture], Iterable[float]]
    ) -> None:
        self._bodies, self._body, self._whole = bodies, body, whole
        self._beyond: dict[_Key, Floats] = {}

    def __call__(self, matrix: Matrix) -> Floats:
        rows = matrix if len(matrix) else np.zeros((1, matrix.shape[1]), np.uint8)
        keys, first, which = np.unique(
            self._bodies.deciding(rows), axis=0, return_index=True, return_inverse=True
        )
        beyond = self._known(keys, rows[first])[which.ravel()]
        total: Floats = self._body(rows)[:, : beyond.shape[1]] + beyond
        return total[: len(matrix)]

    def _known(self, keys: NDArray[np.int64], rows: Matrix) -> Floats:
        """Return what detectors cost beyond their bodies, by their `deciding` keys and rows."""
        names = [_Name.of(key.tolist(), self._bodies) for key in keys]
        new = [i for i, name in enumerate(names) if self._sum(name) is None]
        bodies = self._body(rows[new]) if new else ()
        for i, body in zip(new, bodies, strict=True):
            if self._sum(names[i]) is None:  # earlier ones may have determined it
                whole = np.array([*self._whole(self._bodies.detector(rows[i]))], float)
                self._learn(names[i], whole - body[: len(whole)])
        return np.array([self._sum(name) for name in names])

    def _sum(self, name: "_Name") -> Floats | None:
        """Return the known sum for a combination, or from the parts of its numbers; else None."""
        if name.whole in self._beyond:
            return self._beyond[name.whole]
        found = [self._beyond[part] for part in name.parts if part in self._beyond]
        all_known = found and len(found) == len(name.parts)
        return np.asarray(np.sum(found, axis=0)) if all_known else None

    def _learn(self, name: "_Name", beyond: Floats) -> None:
        """Store the sum for a combination, split over its numbers if they act separately.

        For the first combination of each side, all but one of the numbers count as zero.
        """
        if name.parts and name.side not in self._beyond:
            self._beyond |= dict.fromkeys((name.side, *name.parts[1:]), np.zeros_like(beyond))
        missing = [part for part in name.parts if part not in self._beyond]
        if len(missing) == 1:
            others = [self._beyond[part] for part in name.parts if part not in missing]
            self._beyond[missing[0]] = beyond - np.sum(others, axis=0)
        else:
            self._beyond[name.whole] = beyond


_Key = tuple[int | str, ...]


class _Name(NamedTuple):
    """The key of a combination, its side, and its numbers if they act separately."""

    whole: _Key
    side: _Key
    parts: tuple[_Key, ...]

    @classmethod
    def of(cls, key: Sequence[int], bodies: Bodies) -> "_Name":
        """Return the names of a row of `Bodies.deciding`."""
        side: _Key = ("side", *key[: bodies.picked])
        numbers = key[bodies.picked :] if bodies.apart else ()
        parts: tuple[_Key, ...] = tuple(("part", i, n, *side) for i, n in enumerate(numbers))
        return cls(whole=("whole", *key), side=side, parts=parts)


# The units of networks that detectors keep


def _kept(slot: Slot, taps: Taps) -> Slot:
    """Return a slot as it is in detectors."""
    if slot.place == HEAD:
        return replace(slot, build=partial(_before_pool, slot.build, taps.keeps_convolutions))
    if slot.place and slot.place == taps.split:
        return replace(slot, build=partial(_split, slot.build))
    return slot


def _before_pool(
    build: Build, keeps: bool, places: Places, digits: Sequence[Ints | int]
) -> Iterator[Part]:
    for part in build(places, digits) if keeps else ():
        if part.blocks.kind == "pool":
            return
        yield part


def _split(build: Build, places: Places, digits: Sequence[Ints | int]) -> Iterator[Part]:
    """Yield expansions as separate blocks, the rest of their blocks, and blocks without any."""
    for part in build(places, digits):
        for at, blocks in part.blocks.alike():
            rest = replace(part, places=part.places[at], side=part.side[at], blocks=blocks, level=1)
            if splits(cast(Block, blocks)):
                yield replace(rest, blocks=_expansions(blocks), level=0)
                fields: dict[str, Any] = rest_of(cast(Block, blocks))
                rest = replace(rest, blocks=replace(blocks, **fields))
            yield rest


def _expansions(blocks: BlockArrays) -> BlockArrays:
    none = np.zeros_like(blocks.in_channels)
    return replace(
        blocks,
        kind="conv",
        out_channels=blocks.hidden_channels,
        hidden_channels=none,
        se_channels=none,
        kernel=none + 1,
        stride=1,
    )


def _deciding(slots: Sequence[Slot], taps: Taps | None) -> Iterator[tuple[int, Slot]]:
    """Yield the slots on whose channels a head depends, with their numbers."""
    wanted = (*taps.inputs, taps.split, HEAD) if taps else ()
    yield from ((i, slot) for i, slot in enumerate(slots) if slot.place in wanted and slot.place)


def _channels(slot: Slot, taps: Taps | None) -> Ints:
    """Return the channels that a head reads before or inside a slot, by place in the slot."""
    found = np.zeros(slot.size, np.int64)
    pooled = taps is not None and taps.keeps_convolutions and slot.place == HEAD
    for part in slot.parts():
        if part.blocks.kind != "pool" if pooled else part.level:
            continue
        for at, blocks in part.blocks.alike():
            inside = taps is not None and slot.place == taps.split and splits(cast(Block, blocks))
            channels = blocks.hidden_channels if inside else blocks.in_channels
            found[part.places[at]] = channels
    return found
