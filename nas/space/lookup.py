"""Sum what units cost over thousands of architectures at once, by table look-up.

Whatever adds up over units (MACs, parameters, predicted milliseconds) is worked out once for
every unit that a space can contain. A matrix of picks is then a matrix of table positions, and a
sum over its columns is the answer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.core.blas import one_blas_thread
from nas.core.errors import NasError
from nas.network.arrays import NUMBERS, BlockArrays, Places, lower_arrays, unit_at
from nas.network.layers import Unit
from nas.space.slots import Digits, Part, Slot, slots_of
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]
UnitValues = Callable[[Unit], Iterable[Floats | float]]

_AT_ONCE = 1_000_000
"""Blocks that are lowered together, which bounds the memory."""

_MOST = 50_000_000
"""Numbers that a table may have for each value: gigabytes."""


class Lookup:
    """The sums of some per-unit values over the architectures of one space.

    Example:
        >>> from nas.network.cost import cost_of
        >>> from nas.space.file import load_space
        >>> space = load_space("mnasnet_b0")
        >>> macs = Lookup(space, lambda unit: (cost_of(unit).macs,))
        >>> rows = space.sample_matrix(np.random.default_rng(0), 1000)
        >>> macs(rows).shape
        (1000, 1)
    """

    def __init__(self, space: Space, values: UnitValues, *, largest: bool = False) -> None:
        """Work out `values` for every unit of `space`; all its results have the same length.

        The units come many at once, as `nas.network.arrays.lower_arrays` gives them: the numbers in
        their layers, and those returned, are arrays. With `largest` the answer is not the sum of
        the values, which are 0 or more, but the largest.

        Raises:
            NasError: if the space has too many combinations of choices for a part of its networks.
        """
        self._digits, slots = Digits(space), slots_of(space)
        self._join = np.maximum if largest else np.add
        sizes = [slot.size for slot in slots]
        if sum(sizes) > _MOST:
            raise NasError(
                f"space {space.name} has {sum(sizes):,} combinations of choices for parts of its "
                f"networks, which are too many to tabulate; {_MOST:,} are the most"
            )
        self._offset = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        self._step = np.zeros((self._digits.count, len(sizes)))
        for s, slot in enumerate(slots):
            self._step[list(slot.digits), s] = slot.steps
        self._counts = [slot.counts for slot in slots]
        self._least_counts = np.array([slot.least_count for slot in slots])
        self._tables: list[Floats] = []
        for places, units in _of_slots(slots):
            worth = tuple(values(units))
            if not self._tables:
                self._tables = [np.zeros(self._offset[-1]) for _ in worth]
            for table, value in zip(self._tables, worth, strict=True):
                table[places] = self._join(table[places], value)

    @one_blas_thread()
    def __call__(self, matrix: Matrix) -> Floats:
        """Return the sums, or the largest, for every row of `matrix`, shape (rows, values)."""
        digits = self._digits(matrix)
        position = (digits @ self._step).astype(np.intp) + self._offset[:-1]
        by_slot = np.ascontiguousarray(position.T)  # adding long rows is twice as fast
        counts = [count(matrix) for count in self._counts]
        columns = [self._joined(table.take(by_slot), counts) for table in self._tables]
        return np.stack(columns, axis=1)

    def _joined(self, found: Floats, counts: Sequence[Floats | None]) -> Floats:
        for line, count in zip(found, counts, strict=True):
            if count is not None:
                line *= count if self._join is np.add else count > 0
        total: Floats = self._join.reduce(found)
        return total

    def least(self) -> Floats:
        """Return a lower bound of every sum, shape (values,)."""
        least = [np.minimum.reduceat(table, self._offset[:-1]) for table in self._tables]
        total: Floats = (self._least_counts * least).sum(axis=1)
        return total


def units_of(space: Space) -> Iterator[tuple[Places, Unit]]:
    """Yield all units of a space, many that are alike at once, and their places in an order."""
    return _of_slots(slots_of(space))


def _of_slots(slots: Sequence[Slot]) -> Iterator[tuple[Places, Unit]]:
    """Yield the units of all slots, many that are alike at once, and their places in a table.

    No place occurs twice among them.
    """
    waiting: dict[tuple[int | str, ...], list[tuple[int, Part]]] = defaultdict(list)
    start = count = 0
    for slot in slots:
        for part in slot.parts():
            waiting[part.level, *part.blocks.common].append((start, part))
            count += len(part.places)
            if count >= _AT_ONCE:
                yield from _lowered(waiting.values())
                waiting.clear()
                count = 0
        start += slot.size
    yield from _lowered(waiting.values())


def _lowered(groups: Iterable[Sequence[tuple[int, Part]]]) -> Iterator[tuple[Places, Unit]]:
    for parts in groups:
        places = np.concatenate([part.places + start for start, part in parts])
        blocks = BlockArrays.join([part.blocks for _, part in parts])
        side = np.concatenate([part.side for _, part in parts])
        for own, units in lower_arrays(blocks, side):
            yield places[own], units


def embed(space: Space, rows: Matrix, tables: Sequence[Floats]) -> Floats:
    """Return the lines of `tables` for `rows`: a table for every choice, a line for each value.

    The lines are concatenated, shape (rows, numbers); those of inactive choices are 0.
    """
    active = space.active(rows)[:, :, None]
    found = [table[rows[:, i]] * active[:, i] for i, table in enumerate(tables)]
    return np.concatenate(found, axis=1, dtype=float)


def distinct_units(space: Space) -> Mapping[str, Unit]:
    """Return every unit that an architecture of `space` can contain, by its key."""
    found: list[tuple[int, Unit]] = []
    for places, units in units_of(space):
        numbers = (getattr(units.block, name) for name in NUMBERS)
        order = np.argsort(places, kind="stable")
        rows = np.stack([units.in_shape[1], *numbers], axis=1)[order]
        first = order[np.unique(rows, axis=0, return_index=True)[1]]
        found += [(int(places[i]), unit_at(units, i)) for i in first.tolist()]
    found.sort(key=lambda placed: placed[0])
    return {unit.key: unit for _, unit in found}
