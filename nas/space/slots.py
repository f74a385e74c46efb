"""The parts of a space's architectures (slots), numbered by the choices they depend on.

A part (stem, head, the first layer of a stage, the layers after it) depends on few choices and on
its input channels, which are the width of the last earlier stage that is not dropped. So a matrix
is extended to *digits*, by one column per part: the stage and width that its input comes from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.network.arrays import BlockArrays, Ints, Places, side_behind
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.space.rows import Column, Value, multiplied
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One block for each of several combinations, whose numbers are `places`.

    `side` is the side of each block's input; `level` is the position of the blocks in a chain.
    """

    places: Places
    blocks: BlockArrays
    side: Ints
    level: int = 0


HEAD = "head.0"
_ARRAYS = ("resolution", "multiplier", "width", "kernel")
"""The fields whose values may be arrays in `Row.fields` or are looked up in tables."""


@dataclass(frozen=True)
class Slot:
    """A part of all architectures: the digits it depends on, and the blocks for their values.

    `build` yields the blocks of several combinations, given their numbers and digits: `joint`
    digits are passed as arrays, the others one combination at a time. `counts` returns how often
    the part occurs in each row of a matrix, None if always once. `place` is the place of its first
    block in an architecture, empty for the layers after the first of a stage.
    """

    digits: tuple[int, ...]
    sizes: tuple[int, ...]
    joint: tuple[bool, ...]
    build: Callable[[Places, Sequence[Ints | int]], Iterator[Part]]
    counts: Callable[[Matrix], Floats | None]
    least_count: float
    place: str = ""

    @cached_property
    def size(self) -> int:
        """The number of combinations of digits."""
        return prod(self.sizes)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The factor of each digit in the number of a combination."""
        return tuple(prod(self.sizes[i + 1 :]) for i in range(len(self.sizes)))

    def parts(self) -> Iterator[Part]:
        """Yield the blocks of all combinations."""
        inner = [i for i, joint in enumerate(self.joint) if joint]
        outer = [i for i, joint in enumerate(self.joint) if not joint]
        sizes = [self.sizes[i] for i in inner]
        grid = np.indices(sizes).reshape(len(sizes), prod(sizes))
        inner_places = np.array([self.steps[i] for i in inner], dtype=np.intp) @ grid
        together = dict(zip(inner, grid, strict=True))
        for picked in product(*(range(self.sizes[i]) for i in outer)):
            one = dict(zip(outer, picked, strict=True))
            places = inner_places + sum(self.steps[i] * digit for i, digit in one.items())
            digits = together | one
            yield from self.build(places, [digits[i] for i in range(len(digits))])


class Digits:
    """Turns rows of picks into digits: the picks, then the source of each stage and of the head.

    The digit of a source numbers the widths that can enter the part: those of the stem, then those
    of the first stage, and so on.
    """

    def __init__(self, space: Space) -> None:
        """Prepare for `space`."""
        self._columns = {column.name: i for i, column in enumerate(space.columns)}
        self._space = space
        self.sources = tuple(_sources(space))
        self.reductions = tuple(_reductions(space))
        several = [part for part, found in enumerate(self.reductions) if len(found) > 1]
        first = len(space.columns) + len(self.sources)
        self.reduced = {part: first + number for number, part in enumerate(several)}
        self.count = first + len(several)

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the digits of every row, shape (count, rows)."""
        result = np.empty((self.count, len(matrix)))
        first = len(self._columns)
        result[:first] = matrix.T
        result[first] = self._picked(result, f"stem{_stem_row(self._space)}_width")
        for s, row in enumerate(self._space.stages):
            before = result[first + s]
            own = self._picked(result, f"stage{s + 1}_width")
            if 0 in row.options["layers"]:
                dropped = np.equal(row.options["layers"], 0)
                chosen = self._picked(matrix.T, f"stage{s + 1}_layers")
                own = np.where(dropped[chosen], before, own + len(self.sources[s]))
            result[first + s + 1] = own
        self._reduce(result, matrix)
        return result

    def _reduce(self, result: Floats, matrix: Matrix) -> None:
        """Write the digits of reductions: which one each part's input has, if there are several."""
        total: Any = 1
        for part, known in enumerate(self.reductions):
            if part in self.reduced:
                result[self.reduced[part]] = np.searchsorted(known, total)
            if part < len(self._space.stages):
                strides = np.array(self._space.stages[part].options["stride"], dtype=np.int64)
                total = total * strides[self._picked(matrix.T, f"stage{part + 1}_stride")]

    def _picked(self, lines: NDArray[Any], name: str) -> Any:
        """Return the indices picked for a choice, 0 if there is no such choice."""
        place = self._columns.get(name)
        return 0 if place is None else lines[place]


_Source = tuple[int, Value]
"""A stage, or -1 for the stem, and a width of it."""


def _sources(space: Space) -> Sequence[tuple[_Source, ...]]:
    """Return the widths that may enter each stage and the head."""
    stem = space.stem[_stem_row(space) - 1]
    found = [tuple((-1, width) for width in stem.options["width"])]
    for s, row in enumerate(space.stages):
        own = tuple((s, width) for width in row.options["width"])
        found.append((*found[-1], *own) if 0 in row.options["layers"] else own)
    return found


def _reductions(space: Space) -> Iterator[tuple[int, ...]]:
    """Yield, for every stage and the head, by how much the stages before it may divide a side."""
    found = {1}
    for row in space.stages:
        yield tuple(sorted(found))
        found = {total * int(stride) for total in found for stride in row.options["stride"]}
    yield tuple(sorted(found))


def _stem_row(space: Space) -> int:
    """Return the number, from 1, of the row whose width is the stem's output channels."""
    own = [
        number
        for number, row in enumerate(space.stem, 1)
        if "width_ratio" not in row.options and row.options["kind"] != ("pool",)
    ]
    return own[-1] if own else 1


def _always(_: Matrix) -> None:
    """Return None: the part occurs once in every network."""


def _by_value(column: tuple[int, ...], times: Floats, matrix: Matrix) -> Floats:
    """Return how often a part occurs: given by the value of a column, or constant without one."""
    return times[matrix[:, column[0]]] if column else np.full(len(matrix), times[0])


def slots_of(space: Space) -> tuple[Slot, ...]:
    """Return the parts of the architectures of `space`."""
    return _Slots(space).all()


class _Slots:
    def __init__(self, space: Space) -> None:
        self._space, self._digits = space, Digits(space)
        self._around = self._columns(lambda c: c.field in ("resolution", "multiplier"))
        self._sides = np.array([_sides(space, r) for r in space.resolutions])

    def all(self) -> tuple[Slot, ...]:
        space = self._space
        of_stem = self._columns(lambda c: c.name == "act" or c.name.startswith("stem"))
        found = [self._slot(of_stem, 0, self._stem, counts=_always, place="stem.0")]
        for s, row in enumerate(space.stages):
            several = row.max_layers > 1
            layers = range(row.max_layers) if row.per_layer else (0, None) if several else (0,)
            found += [self._layer(s, layer) for layer in layers]
        of_head = self._columns(lambda c: c.name == "act" or c.name.startswith("head"))
        at = len(space.stages) + 1
        found.append(self._slot(of_head, at, self._head, counts=_always, place=HEAD))
        return tuple(found)

    def _columns(self, wanted: Callable[[Column], bool]) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self._space.columns) if wanted(column))

    def _layer(self, stage: int, layer: int | None) -> Slot:
        row = self._space.stages[stage]
        first = layer == 0

        def decides(column: Column) -> bool:
            if column.stage != stage or column.field == "layers":
                return False
            if column.layer is not None:
                return column.layer == layer
            if column.field == "stride" and not first:
                return False
            rest = "expansion_rest" in row.options
            return (
                column.field != "expansion_rest"
                if first or not rest
                else (column.field != "expansion")
            )

        depths = [int(n) for n in row.options["layers"]]
        times = [max(n - 1, 0) if layer is None else int(n > layer) for n in depths]
        depth = self._columns(lambda c: c.stage == stage and c.field == "layers")
        counts = partial(_by_value, depth, np.array(times, dtype=float))
        return self._slot(
            self._columns(decides),
            stage + 1 if first else stage + 2,
            self._stage_layer(stage, 1 if layer is None else layer),
            counts=_always if set(times) == {1} else counts,
            least_count=float(min(times)),
            place=f"stages.{stage}.0" if first else "",
        )

    def _slot(
        self,
        columns: tuple[int, ...],
        at: int,
        build: Callable[["_Chosen"], Iterator[Part]],
        *,
        counts: Callable[[Matrix], Floats | None],
        least_count: float = 1.0,
        place: str,
    ) -> Slot:
        """Return the slot that depends on `columns`, and on its input.

        `at` is the index of the side of its input in `_sides`. The layers behind the first of a
        stage have no `place`: their input has the width of the stage.
        """
        part = at - 1 if place and at else None
        columns = (*self._around, *columns)
        chosen = [self._space.columns[i] for i in columns]
        entering = () if part is None else (len(self._space.columns) + part,)
        channels = None if part is None else self._entering(part)
        reduced = self._digits.reduced.get(at - 1)
        known = np.array(self._digits.reductions[at - 1] if reduced is not None else ())
        sizes = [len(column.values) for column in chosen]
        more = [] if part is None else [len(self._digits.sources[part])]
        more += [] if reduced is None else [len(known)]
        tables: dict[str, Any] = {
            c.name: np.array(c.values) if c.field in _ARRAYS else c.values for c in chosen
        }

        def built(places: Places, digits: Sequence[Ints | int]) -> Iterator[Part]:
            by_name = {c.name: digit for c, digit in zip(chosen, digits, strict=False)}
            inputs = None
            if channels is not None:
                inputs = channels[digits[len(chosen)], by_name.get("multiplier", 0)]
            values = {name: table[by_name[name]] for name, table in tables.items()}
            reduction = None if reduced is None else known[digits[-1]]
            return build(_Chosen(places, by_name, values, inputs, reduction))

        return Slot(
            digits=(*columns, *entering, *(() if reduced is None else (reduced,))),
            sizes=(*sizes, *more),
            joint=(*(column.field in _ARRAYS for column in chosen), *(True for _ in more)),
            build=built,
            counts=counts,
            least_count=least_count,
            place=place,
        )

    def _entering(self, part: int) -> Ints:
        """Return the possible input channels of a part, shape (sources, multipliers)."""
        return np.array([self._channels(*source) for source in self._digits.sources[part]])

    def _channels(self, stage: int, width: Value) -> list[int]:
        """Return the output channels of a stage, or of the stem (-1), for each multiplier."""
        multipliers = self._space.multipliers
        if stage < 0:
            chosen = {f"stem{_stem_row(self._space)}_width": width}
            return [self._space.stem_blocks(chosen)[-1].out_channels] * len(multipliers)
        return [multiplied(int(width), multiplier) for multiplier in multipliers]

    def _side(self, chosen: "_Chosen", place: int) -> Ints:
        resolution = chosen.digits.get("resolution", 0)
        side = self._sides[resolution, place]
        if chosen.reduction is not None:
            side = -(-self._sides[resolution, 1] // chosen.reduction)  # as rounded stage by stage
        return np.full(len(chosen.places), side)

    def _stem(self, chosen: "_Chosen") -> Iterator[Part]:
        return self._chain("stem", chosen, self._space.input_channels, self._side(chosen, 0))

    def _head(self, chosen: "_Chosen") -> Iterator[Part]:
        side = self._side(chosen, len(self._space.stages) + 1)
        return self._chain("head", chosen, chosen.inputs, side)

    def _chain(
        self, place: str, chosen: "_Chosen", inputs: Ints | int | None, side: Ints
    ) -> Iterator[Part]:
        chain = self._space.fields_around(place, chosen.values, inputs)
        for level, fields in enumerate(chain):
            blocks = BlockArrays.of(fields, len(chosen.places))
            yield Part(chosen.places, blocks, side, level)
            side = side_behind(blocks, side)

    def _stage_layer(self, stage: int, layer: int) -> Callable[["_Chosen"], Iterator[Part]]:
        row, name = self._space.stages[stage], f"stage{stage + 1}_width"
        widths = np.array([self._channels(stage, width) for width in row.options["width"]])

        def build(chosen: "_Chosen") -> Iterator[Part]:
            own = self._space.layer_values(stage, layer, chosen.values)
            digits = chosen.digits
            own["width"] = widths[digits.get(name, 0), digits.get("multiplier", 0)]
            inputs = own["width"] if chosen.inputs is None else chosen.inputs
            fields = row.fields(own, inputs, layer, self._space.squeezings)
            blocks = BlockArrays.of(fields, len(chosen.places))
            yield Part(chosen.places, blocks, self._side(chosen, stage + 1 + (layer > 0)))

        return build


@dataclass(frozen=True)
class _Chosen:
    """Several combinations: the digits and values of their choices, and their input channels."""

    places: Places
    digits: Mapping[str, Ints | int]
    values: Mapping[str, Any]
    inputs: Ints | None
    reduction: Ints | None = None


def _sides(space: Space, resolution: int) -> tuple[int, ...]:
    """Return the side of the input of the stem, of every stage and of the head, in pixels.

    Stages that can be dropped have no stride, so the sides are the same in all architectures of the
    space, up to the first stage whose stride is a choice.
    """
    first = space.decode_row(np.zeros(len(space.columns), dtype=np.uint8))
    units = {u.name: u for u in lower(scale_resolution(first, resolution))}
    places = ["stem.0", *(f"stages.{s}.0" for s in range(len(space.stages))), "head.0"]
    sides: list[int] = []
    for place in reversed(places):
        sides.append(units[place].in_shape[1] if place in units else sides[-1])
    return tuple(reversed(sides))
