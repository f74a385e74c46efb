"""Sum what units cost over thousands of architectures at once, by table look-up.

Whatever adds up over units (MACs, parameters, predicted milliseconds) is worked out once for
every unit that a space can contain. A matrix of picks is then a matrix of table positions, and a
sum over its columns is the answer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nas.core.blas import one_blas_thread
from nas.network.blocks import Block
from nas.network.layers import Shape, Unit, lower, lower_chain
from nas.network.multipliers import scale_resolution
from nas.space.rows import Picks
from nas.space.space import Matrix, Space

UnitValues = Callable[[Unit], tuple[float, ...]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """A part of every architecture: the columns that decide it, and the units for their values."""

    columns: tuple[int, ...]
    units: Callable[[Picks], tuple[Unit, ...]]


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

    def __init__(self, space: Space, values: UnitValues) -> None:
        """Work out `values` for every unit of `space`; all its tuples have the same length."""
        slots, measure = tuple(_slots(space)), _remembered(values)
        self._step = np.zeros((len(space.columns), len(slots)), dtype=np.float32)
        self._offset = np.zeros(len(slots), dtype=np.int32)
        tables: list[Floats] = []
        for s, slot in enumerate(slots):
            size = 1
            for column in reversed(slot.columns):
                self._step[column, s] = size
                size *= len(space.columns[column].values)
            self._offset[s] = sum(len(table) for table in tables)
            tables.append(_table(space, slot, measure))
        table = np.concatenate(tables)
        self._tables = tuple(np.ascontiguousarray(table[:, k]) for k in range(table.shape[1]))

    @one_blas_thread()
    def __call__(self, matrix: Matrix) -> Floats:
        """Return the sums for every row of `matrix`, shape (rows, values)."""
        position = (matrix.astype(np.float32) @ self._step).astype(np.intp) + self._offset
        by_slot = np.ascontiguousarray(position.T)  # adding long rows is twice as fast
        return np.stack([table.take(by_slot).sum(axis=0) for table in self._tables], axis=1)

    def least(self) -> Floats:
        """Return a lower bound of every sum over the whole space, shape (values,)."""
        starts = self._offset
        parts = [np.minimum.reduceat(table, starts).sum() for table in self._tables]
        return np.array(parts)


def embed(space: Space, rows: Matrix, tables: Sequence[Floats]) -> Floats:
    """Return what `tables`, one for every choice with a line for each value, have for `rows`.

    The lines stand side by side, shape (rows, their numbers); those of inactive choices are 0.
    """
    active = space.active(rows)[:, :, None]
    found = [table[rows[:, i]] * active[:, i] for i, table in enumerate(tables)]
    return np.concatenate(found, axis=1, dtype=float)


def distinct_units(space: Space) -> Mapping[str, Unit]:
    """Return every unit that an architecture of `space` can contain, by its key."""
    found: dict[str, Unit] = {}

    def collect(unit: Unit) -> tuple[float, ...]:
        found.setdefault(unit.key, unit)
        return (0.0,)

    Lookup(space, collect)
    return found


def _remembered(values: UnitValues) -> Callable[[tuple[Unit, ...]], Floats]:
    """Return a function that sums `values` over units and works each unit out once."""
    known: dict[tuple[Block, Shape], Floats] = {}

    def total(units: tuple[Unit, ...]) -> Floats:
        for unit in units:
            if (unit.block, unit.in_shape) not in known:
                known[unit.block, unit.in_shape] = np.asarray(values(unit), dtype=float)
        return sum((known[u.block, u.in_shape] for u in units), start=np.zeros(1))

    return total


def _table(space: Space, slot: _Slot, total: Callable[[tuple[Unit, ...]], Floats]) -> Floats:
    """Return the values of a slot for all combinations of its columns, the last one fastest."""
    columns = [space.columns[i] for i in slot.columns]
    combinations = product(*(column.values for column in columns))
    rows = [
        total(slot.units({c.name: v for c, v in zip(columns, values, strict=True)}))
        for values in combinations
    ]
    width = max(row.size for row in rows)
    return np.array([np.broadcast_to(row, (width,)) for row in rows])


def _slots(space: Space) -> Iterator[_Slot]:
    """Yield the parts that every architecture of `space` is the sum of."""
    resolution = [i for i, c in enumerate(space.columns) if c.field == "resolution"]
    sides = {r: _sides(space, r) for r in space.resolutions}

    def side(picks: Picks, place: int) -> int:
        return sides[int(picks.get("resolution", space.resolutions[0]))][place]

    def width(stage: int, picks: Picks) -> int:
        if stage < 0:
            return space.fixed_blocks(space.stem, space.input_channels)[-1].out_channels
        return int(picks.get(f"stage{stage + 1}_width", space.stages[stage].options["width"][0]))

    def stem(picks: Picks) -> tuple[Unit, ...]:
        blocks = space.fixed_blocks(space.stem, space.input_channels)
        return lower_chain(blocks, (space.input_channels, side(picks, 0), side(picks, 0)))

    def head(picks: Picks) -> tuple[Unit, ...]:
        channels = width(len(space.stages) - 1, picks)
        where = side(picks, len(space.stages) + 1)
        return lower_chain(space.fixed_blocks(space.head, channels), (channels, where, where))

    def stage(number: int, layer: int | None, picks: Picks) -> tuple[Unit, ...]:
        channels, where = width(number - 1, picks), side(picks, number + 1)
        units = lower_chain(space.stage_blocks(number, picks, channels), (channels, where, where))
        return units if layer is None else units[layer : layer + 1]

    def widths_of(number: int) -> list[int]:
        return [i for i, c in enumerate(space.columns) if c.stage == number and c.field == "width"]

    yield _Slot(columns=tuple(resolution), units=stem)
    for number, row in enumerate(space.stages):
        before = resolution + widths_of(number - 1)
        for layer in range(row.max_layers) if row.per_layer else (None,):
            own = [
                i
                for i, c in enumerate(space.columns)
                if c.stage == number and c.layer in (None, layer)
            ]
            yield _Slot(columns=(*before, *own), units=partial(stage, number, layer))
    yield _Slot(columns=(*resolution, *widths_of(len(space.stages) - 1)), units=head)


def _sides(space: Space, resolution: int) -> tuple[int, ...]:
    """Return the height of the input of the stem, of every stage and of the head, in pixels.

    Strides are no choice, so any one architecture of the space tells it.
    """
    first = space.decode_row(np.zeros(len(space.columns), dtype=np.uint8))
    units = {u.name: u for u in lower(scale_resolution(first, resolution))}
    places = ["stem.0", *(f"stages.{s}.0" for s in range(len(space.stages))), "head.0"]
    return tuple(units[place].in_shape[1] for place in places)
