"""Sum what units cost over thousands of architectures at once, by table look-up.

Whatever adds up over units (MACs, parameters, predicted milliseconds) is worked out once for
every unit that a space can contain. A matrix of picks is then a matrix of table positions, and a
sum over its columns is the answer. A large space has too many units: they are worked out when they
are first needed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.core.blas import one_blas_thread
from nas.network.blocks import Block
from nas.network.layers import Shape, Unit
from nas.space.slots import Digits, slots_of
from nas.space.space import Matrix, Space

UnitValues = Callable[[Unit], tuple[float, ...]]
Floats = NDArray[np.float64]

_MOST_AT_ONCE = 50_000
"""Tables with at most so many entries in all are filled at once."""

_SAMPLE = 200
"""Random architectures whose units are worked out at once for larger tables."""


class Lookup:
    """The sums of some per-unit values over the architectures of one space.

    Example:
        >>> from nas.network.cost import cost_of
        >>> from nas.space.file import load_space
        >>> space = load_space("mbconv")
        >>> macs = Lookup(space, lambda unit: (cost_of(unit).macs,))
        >>> rows = space.sample_matrix(np.random.default_rng(0), 1000)
        >>> macs(rows).shape
        (1000, 1)
    """

    def __init__(self, space: Space, values: UnitValues, *, whole: bool = False) -> None:
        """Work out `values` for every unit of `space`; all its tuples have the same length.

        Of very many units only those of 200 random architectures are worked out here, the
        others when they are needed; `whole` works out all.
        """
        self._digits, self._slots = Digits(space), slots_of(space)
        self._total = _Remembered(values)
        sizes = [slot.size for slot in self._slots]
        self._offset = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        self._step = np.zeros((self._digits.count, len(sizes)))
        for s, slot in enumerate(self._slots):
            self._step[list(slot.digits), s] = slot.steps
        first = self._worth(0, 0)
        self._tables = [np.full(self._offset[-1], np.nan) for _ in range(first.size)]
        if whole or self._offset[-1] <= _MOST_AT_ONCE:
            self._fill(np.arange(self._offset[-1]))
        else:
            self(space.sample_matrix(np.random.default_rng(0), _SAMPLE))

    @one_blas_thread()
    def __call__(self, matrix: Matrix) -> Floats:
        """Return the sums for every row of `matrix`, shape (rows, values)."""
        digits = self._digits(matrix)
        position = (digits @ self._step).astype(np.intp) + self._offset[:-1]
        by_slot = np.ascontiguousarray(position.T)  # adding long rows is twice as fast
        counts = [slot.counts(matrix) for slot in self._slots]
        self._fill_missing(by_slot, counts)
        return np.stack([self._sum(table.take(by_slot), counts) for table in self._tables], axis=1)

    def _fill_missing(self, by_slot: NDArray[np.intp], counts: Sequence[Floats | None]) -> None:
        """Work out the new units of `by_slot` that occur at least once."""
        missing = np.isnan(self._tables[0].take(by_slot))
        if missing.any():
            for line, count in zip(missing, counts, strict=True):
                if count is not None:
                    line &= count > 0
            self._fill(np.unique(by_slot[missing]))

    def _sum(self, found: Floats, counts: Sequence[Floats | None]) -> Floats:
        for line, count in zip(found, counts, strict=True):
            if count is not None:
                line[count == 0] = 0.0  # an absent unit may not have been worked out
                line *= count
        total: Floats = found.sum(axis=0)
        return total

    def _fill(self, positions: NDArray[np.intp]) -> None:
        owners = np.searchsorted(self._offset, positions, side="right") - 1
        for position, s in zip(positions.tolist(), owners.tolist(), strict=True):
            worth = np.broadcast_to(self._worth(s, position - self._offset[s]), len(self._tables))
            for table, value in zip(self._tables, worth, strict=True):
                table[position] = value

    def _worth(self, slot: int, code: int) -> Floats:
        worth: Floats = self._total(self._slots[slot].units(int(code)))
        return worth

    def met(self) -> tuple[Unit, ...]:
        """Return the units that were worked out, each once."""
        return tuple(unit for unit, _ in self._total.known.values())

    def least(self) -> Floats:
        """Return a lower bound of every sum over what was worked out, shape (values,)."""
        ends = zip(self._offset[:-1], self._offset[1:], self._slots, strict=True)
        parts = [
            [slot.least_count * _least(table[start:end]) for table in self._tables]
            for start, end, slot in ends
        ]
        least: Floats = np.array(parts).sum(axis=0)
        return least


def _least(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.min()) if known.size else 0.0


def embed(space: Space, rows: Matrix, tables: Sequence[Floats]) -> Floats:
    """Return the lines of `tables` for `rows`: a table for every choice, a line for each value.

    The lines are concatenated, shape (rows, numbers); those of inactive choices are 0.
    """
    active = space.active(rows)[:, :, None]
    found = [table[rows[:, i]] * active[:, i] for i, table in enumerate(tables)]
    return np.concatenate(found, axis=1, dtype=float)


def distinct_units(space: Space) -> Mapping[str, Unit]:
    """Return every unit that an architecture of `space` can contain, by its key."""
    units = Lookup(space, lambda unit: (0.0,), whole=True).met()
    found: dict[str, Unit] = {}
    for unit in units:
        found.setdefault(unit.key, unit)
    return found


class _Remembered:
    """Sums values over units and works each unit out once; pickled, it forgets them."""

    def __init__(self, values: UnitValues) -> None:
        self._values = values
        self.known: dict[tuple[Block, Shape], tuple[Unit, Floats]] = {}

    def __reduce__(self) -> tuple[type["_Remembered"], tuple[UnitValues]]:
        return _Remembered, (self._values,)

    def __call__(self, units: tuple[Unit, ...]) -> Floats:
        return sum(map(self._of, units), start=np.zeros(1))

    def _of(self, unit: Unit) -> Floats:
        key = (unit.block, unit.in_shape)
        if key not in self.known:
            self.known[key] = (unit, np.asarray(self._values(unit), dtype=float))
        return self.known[key][1]
