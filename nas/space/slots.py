"""The parts of a space's architectures (slots), numbered by the choices that decide them.

A part (stem, head, the first layer of a stage, the layers after it) depends on few choices, and on
the channels that enter it. These come from the width of the last stage before it that is not
dropped. So a matrix gets more columns, its *digits*: for each part, the stage and width of its
input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from nas.network.layers import Unit, lower, lower_chain
from nas.network.multipliers import scale_resolution
from nas.space.rows import Column, Picks, Value, multiplied
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]
_Build = Callable[[Picks, int], tuple[Unit, ...]]


@dataclass(frozen=True)
class Slot:
    """A part of all architectures: the digits that decide it, and the units for their values.

    `counts` gives how often the part occurs in each row of a matrix, None for always once.
    """

    digits: tuple[int, ...]
    sizes: tuple[int, ...]
    units_of: Callable[[tuple[int, ...]], tuple[Unit, ...]]
    counts: Callable[[Matrix], Floats | None]
    least_count: float

    @cached_property
    def size(self) -> int:
        """The number of combinations of digits."""
        return prod(self.sizes)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """What each digit is multiplied by in the number of a combination."""
        return tuple(prod(self.sizes[i + 1 :]) for i in range(len(self.sizes)))

    def units(self, code: int) -> tuple[Unit, ...]:
        """Return the units of a combination by its number."""
        digits = zip(self.steps, self.sizes, strict=True)
        return self.units_of(tuple(code // step % size for step, size in digits))


class Digits:
    """Turns rows of picks into digits: the picks, then for each stage and the head its source.

    The digit of a source counts the widths of the stem, then those of the first stage, and so on,
    as far as they can enter the part.
    """

    def __init__(self, space: Space) -> None:
        """Prepare for `space`."""
        self._columns = {column.name: i for i, column in enumerate(space.columns)}
        self._space = space
        self.sources = tuple(_sources(space))
        self.count = len(space.columns) + len(self.sources)

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the digits of every row, shape (rows, count)."""
        result = np.empty((len(matrix), self.count))
        result[:, : len(self._columns)] = matrix
        first = len(self._columns)
        result[:, first] = self._picked(matrix, f"stem{_stem_row(self._space)}_width")
        for s, row in enumerate(self._space.stages):
            before = result[:, first + s]
            own = self._picked(matrix, f"stage{s + 1}_width")
            if 0 in row.options["layers"]:
                there = self._layers(matrix, s) > 0
                own = np.where(there, own + len(self.sources[s]), before)
            result[:, first + s + 1] = own
        return result

    def _picked(self, matrix: Matrix, name: str) -> Floats:
        place = self._columns.get(name)
        picked = np.zeros(len(matrix)) if place is None else matrix[:, place].astype(float)
        return picked

    def _layers(self, matrix: Matrix, stage: int) -> Floats:
        depths = np.array(self._space.stages[stage].options["layers"], dtype=float)
        place = self._columns.get(f"stage{stage + 1}_layers")
        return np.full(len(matrix), depths[0]) if place is None else depths[matrix[:, place]]

    def occurrences(self, stage: int, layer: int | None, matrix: Matrix) -> Floats:
        """Return how often a layer occurs; None means all after the first."""
        layers = self._layers(matrix, stage)
        return np.maximum(layers - 1, 0) if layer is None else (layers > layer).astype(float)


_Source = tuple[int, Value]
"""A stage, or -1 for the stem, and a width of it."""


def _sources(space: Space) -> Sequence[tuple[_Source, ...]]:
    """Return, for every stage and the head, which widths may enter it."""
    stem = space.stem[_stem_row(space) - 1]
    found = [tuple((-1, width) for width in stem.options["width"])]
    for s, row in enumerate(space.stages):
        own = tuple((s, width) for width in row.options["width"])
        found.append((*found[-1], *own) if 0 in row.options["layers"] else own)
    return found


def _stem_row(space: Space) -> int:
    """Return the number, from 1, of the row whose width decides what channels leave the stem."""
    own = [
        number
        for number, row in enumerate(space.stem, 1)
        if "width_ratio" not in row.options and row.options["kind"] != ("pool",)
    ]
    return own[-1] if own else 1


def _always(_: Matrix) -> None:
    """Return how often a part of every network occurs: once."""


def slots_of(space: Space) -> tuple[Slot, ...]:
    """Return the parts of the architectures of `space`."""
    return _Slots(space).all()


class _Slots:
    def __init__(self, space: Space) -> None:
        self._space, self._digits = space, Digits(space)
        self._around = self._columns(lambda c: c.field in ("resolution", "multiplier"))
        self._sides = {r: _sides(space, r) for r in space.resolutions}

    def all(self) -> tuple[Slot, ...]:
        space, found = self._space, []
        of_stem = self._columns(lambda c: c.name == "act" or c.name.startswith("stem"))
        found.append(self._whole(self._around + of_stem, None, self._stem))
        for s, row in enumerate(space.stages):
            several = row.max_layers > 1
            layers = range(row.max_layers) if row.per_layer else (0, None) if several else (0,)
            found += [self._layer(s, layer) for layer in layers]
        of_head = self._columns(lambda c: c.name in ("act", "head"))
        found.append(self._whole(self._around + of_head, len(space.stages), self._head))
        return tuple(found)

    def _columns(self, wanted: Callable[[Column], bool]) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self._space.columns) if wanted(column))

    def _whole(self, columns: tuple[int, ...], part: int | None, build: _Build) -> Slot:
        return self._slot(columns, part, build, counts=_always, least_count=1.0)

    def _layer(self, stage: int, layer: int | None) -> Slot:
        row = self._space.stages[stage]
        first = layer == 0

        def decides(column: Column) -> bool:
            if column.stage != stage or column.field == "layers":
                return False
            if column.layer is not None:
                return column.layer == layer
            rest = "expansion_rest" in row.options
            return (
                column.field != "expansion_rest"
                if first or not rest
                else (column.field != "expansion")
            )

        least = min(int(n) for n in row.options["layers"])
        always = first and least > 0
        counts = partial(self._digits.occurrences, stage, layer)
        return self._slot(
            self._around + self._columns(decides),
            stage if first else None,
            partial(self._layer_units, stage, 1 if layer is None else layer),
            counts=_always if always else counts,
            least_count=float(max(least - 1, 0) if layer is None else least > layer),
        )

    def _slot(
        self,
        columns: tuple[int, ...],
        part: int | None,
        build: _Build,
        *,
        counts: Callable[[Matrix], Floats | None],
        least_count: float,
    ) -> Slot:
        """Return the slot that `columns` decide, and for a `part` the channels that enter it."""
        space, sources = self._space, self._digits.sources
        entering = () if part is None else (len(space.columns) + part,)
        sizes = [len(space.columns[i].values) for i in columns]

        return Slot(
            digits=(*columns, *entering),
            sizes=(*sizes, *(() if part is None else (len(sources[part]),))),
            units_of=partial(self._units_of, columns, part, build),
            counts=counts,
            least_count=least_count,
        )

    def _units_of(
        self, columns: tuple[int, ...], part: int | None, build: _Build, digits: tuple[int, ...]
    ) -> tuple[Unit, ...]:
        """Return the units of one value of a slot's digits."""
        named = [self._space.columns[i] for i in columns]
        picks = {c.name: c.values[digit] for c, digit in zip(named, digits, strict=False)}
        if part is None:  # the stem, which knows what enters it
            return build(picks, 0)
        return build(picks, self._channels(self._digits.sources[part][digits[-1]], picks))

    def _channels(self, source: _Source, picks: Picks) -> int:
        stage, width = source
        if stage < 0:
            chosen = {f"stem{_stem_row(self._space)}_width": width}
            return self._space.stem_blocks(chosen)[-1].out_channels
        multiplier = float(picks.get("multiplier", self._space.multipliers[0]))
        return multiplied(int(width), multiplier)

    def _side(self, picks: Picks, place: int) -> int:
        return self._sides[int(picks.get("resolution", self._space.resolutions[0]))][place]

    def _stem(self, picks: Picks, _: int) -> tuple[Unit, ...]:
        side = self._side(picks, 0)
        blocks = self._space.stem_blocks(picks)
        return lower_chain(blocks, (self._space.input_channels, side, side))

    def _head(self, picks: Picks, channels: int) -> tuple[Unit, ...]:
        side = self._side(picks, len(self._space.stages) + 1)
        return lower_chain(self._space.head_blocks(picks, channels), (channels, side, side))

    def _layer_units(self, stage: int, layer: int, picks: Picks, channels: int) -> tuple[Unit, ...]:
        space, row = self._space, self._space.stages[stage]
        if layer:
            width = picks.get(f"stage{stage + 1}_width", row.options["width"][0])
            channels = self._channels((stage, width), picks)
        side = self._side(picks, stage + 1 + (layer > 0))
        block = space.layer_block(stage, layer, picks, channels)
        return lower_chain((block,), (channels, side, side))


def _sides(space: Space, resolution: int) -> tuple[int, ...]:
    """Return the side of the input of the stem, of every stage and of the head, in pixels.

    Strides are no choice, and a stage that can be dropped has none, so any one architecture of the
    space tells it.
    """
    first = space.decode_row(np.zeros(len(space.columns), dtype=np.uint8))
    units = {u.name: u for u in lower(scale_resolution(first, resolution))}
    places = ["stem.0", *(f"stages.{s}.0" for s in range(len(space.stages))), "head.0"]
    sides: list[int] = []
    for place in reversed(places):
        sides.append(units[place].in_shape[1] if place in units else sides[-1])
    return tuple(reversed(sides))
