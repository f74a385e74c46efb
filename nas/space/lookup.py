"""Sum the costs of units over thousands of architectures at once, by table look-up.

Any quantity that adds up over units (MACs, parameters, predicted milliseconds) is computed once for
every unit that a space can contain. A matrix of picks then becomes a matrix of table positions, and
the results are sums over its columns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.core.blas import one_blas_thread
from nas.core.errors import NasError
from nas.network.arrays import NUMBERS, BlockArrays, Places, lower_arrays, unit_at
from nas.network.layers import Unit
from nas.space.rows import check_indices
from nas.space.slots import Digits, Part, Slot, slots_of
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]
UnitValues = Callable[[Unit], Iterable[Floats | float]]

_AT_ONCE = 1_000_000
"""The most blocks that are lowered together, which bounds memory."""

_MOST = 50_000_000
"""The most entries of a table per value; more would take gigabytes."""


class SpaceUnits:
    """All units that a space can contain, each with its place in a table.

    Shared by several look-ups, it lowers the units once for all, unless there are very many.
    """

    def __init__(self, space: Space, *, slots: Sequence[Slot] = ()) -> None:
        """Number the units of `space`, by default those of its networks, or else of `slots`.

        Raises:
            NasError: if a part of the networks has too many combinations of choices.
        """
        self._slots = tuple(slots) or slots_of(space)
        self.positions = _Positions(space, self._slots)
        if len(self) > _MOST:
            raise NasError(
                f"space {space.name} has {len(self):,} combinations of choices for parts of its "
                f"networks, which are too many to tabulate; at most {_MOST:,} are allowed"
            )

    def __len__(self) -> int:
        """Return the number of places in a table."""
        return sum(slot.size for slot in self._slots)

    def __iter__(self) -> Iterator[tuple[Places, Unit]]:
        """Yield groups of similar units, each with their places in a table."""
        return iter(self._few) if len(self) <= _AT_ONCE else _of_slots(self._slots)

    @cached_property
    def _few(self) -> tuple[tuple[Places, Unit], ...]:
        return tuple(_of_slots(self._slots))


_Placed = tuple[Places, list[Floats | None]]
"""Places, shape (slots, rows), and how often each slot counts, None for once."""


class _Positions:
    """Computes the table places of the units in each row of a matrix, and how often each counts.

    Several look-ups process the same rows in turn, so the last result is cached.
    """

    def __init__(self, space: Space, slots: Sequence[Slot]) -> None:
        self._space, self._digits, sizes = space, Digits(space), [slot.size for slot in slots]
        self.starts = np.cumsum([0, *sizes[:-1]], dtype=np.intp)
        self._steps = np.zeros((len(slots), self._digits.count))
        for s, slot in enumerate(slots):
            self._steps[s, list(slot.digits)] = slot.steps
        self._counts = [slot.counts for slot in slots]
        self.least_counts = np.array([slot.least_count for slot in slots])
        self._last: tuple[Matrix, _Placed] | None = None

    def __call__(self, matrix: Matrix) -> _Placed:
        """Return the places and counts of the rows of `matrix`."""
        last = self._last
        if last is None or not np.array_equal(last[0], matrix):
            last = matrix.copy(), self._placed(matrix)
            self._last = last if matrix.size <= _AT_ONCE else None
        return last[1]

    def _placed(self, matrix: Matrix) -> _Placed:
        check_indices(matrix, self._space.columns, space=self._space.name)
        position = (self._steps @ self._digits(matrix)).astype(np.intp) + self.starts[:, None]
        return position, [count(matrix) for count in self._counts]


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

    def __init__(
        self,
        space: Space,
        values: UnitValues,
        *,
        largest: bool = False,
        units: SpaceUnits | None = None,
    ) -> None:
        """Compute `values` for every unit of `space`; all results must have the same length.

        `values` is called with many units at once, as from `nas.network.arrays.lower_arrays`: the
        numbers in their layers, and those returned, are arrays. With `largest`, a look-up returns
        the maximum of the values, which must be 0 or more, instead of the sum. `units` are the
        units of `space`, if they exist already.

        Raises:
            NasError: as `SpaceUnits` does.
        """
        units = units or SpaceUnits(space)
        self._positions = units.positions
        self._join = np.maximum if largest else np.add
        self._table = np.zeros((0, 0))
        for places, many in units:
            worth = tuple(values(many))
            if not self._table.size:
                self._table = np.zeros((len(units), len(worth)))
            for column, value in enumerate(worth):
                self._table[places, column] = self._join(self._table[places, column], value)

    @one_blas_thread()
    def __call__(self, matrix: Matrix) -> Floats:
        """Return the sums, or the maxima, for every row of `matrix`, shape (rows, values)."""
        places, counts = self._positions(matrix)
        found = self._table.take(places, axis=0)
        for line, count in zip(found, counts, strict=True):
            if count is not None:
                line *= (count if self._join is np.add else count > 0)[:, None]
        total: Floats = self._join.reduce(found)
        return total

    def first(self, count: int) -> "Lookup":
        """Return the look-up of only the first `count` values."""
        found = copy(self)
        found._table = np.ascontiguousarray(self._table[:, :count])
        return found

    def least(self) -> Floats:
        """Return a lower bound of each sum, shape (values,)."""
        least = np.minimum.reduceat(self._table, self._positions.starts)
        total: Floats = self._positions.least_counts @ least
        return total


def units_of(space: Space) -> Iterator[tuple[Places, Unit]]:
    """Yield all units of a space in groups of similar ones, each with their places."""
    return _of_slots(slots_of(space))


def _of_slots(slots: Sequence[Slot]) -> Iterator[tuple[Places, Unit]]:
    """Yield the units of all slots in groups of similar ones, each with their places in a table.

    Every place occurs once, except that the blocks of one chain share theirs.
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


class Embedding:
    """Returns the lines of tables for rows of picks; there is a table per choice, a line per value.

    The lines of a row are concatenated; those of inactive choices are 0.
    """

    def __init__(self, space: Space, tables: Sequence[Floats]) -> None:
        """Prepare for the `tables` of the choices of `space`, of shape (values, numbers) each."""
        self._space = space
        widths = np.array([table.shape[1] for table in tables])
        self.count = int(widths.sum())
        blank = [np.concatenate([table, np.zeros((1, table.shape[1]))]) for table in tables]
        self._flat = np.concatenate([table.ravel() for table in blank], dtype=float)
        self._column = np.repeat(np.arange(len(tables)), widths)
        self._width = widths[self._column]
        starts = np.cumsum([0, *(table.size for table in blank[:-1])])
        within = np.arange(self.count) - np.repeat(np.cumsum(widths) - widths, widths)
        self._start = starts[self._column] + within

    def __call__(self, rows: Matrix) -> Floats:
        """Return the lines of `rows`, shape (rows, numbers)."""
        lines = np.where(self._space.active(rows), rows, self._space.widths)
        found: Floats = self._flat[lines[:, self._column] * self._width + self._start]
        return found


def distinct_units(space: Space, *, units: SpaceUnits | None = None) -> Mapping[str, Unit]:
    """Return every unit that an architecture of `space` can contain, or all `units`, by key."""
    found: list[tuple[int, Unit]] = []
    for places, many in units or units_of(space):
        numbers = (getattr(many.block, name) for name in NUMBERS)
        order = np.argsort(places, kind="stable")
        rows = np.stack([many.in_shape[1], *numbers], axis=1)[order]
        first = order[np.unique(rows, axis=0, return_index=True)[1]]
        found += [(int(places[i]), unit_at(many, i)) for i in first.tolist()]
    found.sort(key=lambda placed: placed[0])
    return {unit.key: unit for _, unit in found}
