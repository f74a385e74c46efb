"""Compute the features of rows of picks without decoding them."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from nas.accuracy.features import (
    SMOOTH,
    Description,
    Floats,
    Layers,
    features,
    head_of,
    layers_of,
    shortcut,
)
from nas.space.rows import Row, Squeezing, Value, check_indices, multiplied, times
from nas.space.space import Matrix, Space

_Ints = NDArray[np.intp]


class PicksFeatures:
    """Turns rows of picks of one space into features, shape (rows, `nas.accuracy.features.NAMES`).

    Rounded numbers (widths, hidden channels, widths of squeeze-and-excitation) are tabulated once
    for all numbers of channels that occur, by the functions that also build the blocks. Where
    strides or heads have choices of their own, rows are decoded `one_by_one`, which is slow.
    """

    def __init__(self, space: Space) -> None:
        """Prepare for `space`."""
        self.space = space
        fields = [column.name for column in space.columns if column.field == "stride"]
        fields += [name for name in space.choices if re.match(r"head\d", name)]
        self.one_by_one = bool(fields)  # tables need a fixed stride and few heads
        self._columns = {column.name: i for i, column in enumerate(space.columns)}
        stem = [c for c in space.columns if c.name.startswith("stem") or c.name == "act"]
        self._stem_columns = [self._columns[c.name] for c in stem]
        self._stem_sizes = [len(c.values) for c in stem]
        self._stems = [
            space.stem_blocks({c.name: v for c, v in zip(stem, values, strict=True)})
            for values in product(*(c.values for c in stem))
        ]
        self._channels = self._occurring()
        self._own_widths = [self._width_table(row) for row in space.stages]
        self._heads = self._head_table()
        self._hidden: dict[tuple[Value, ...], _Ints] = {}
        self._squeezed: dict[tuple[Squeezing, tuple[Value, ...]], _Ints] = {}

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the features of the rows of a matrix, canonical or not."""
        check_indices(matrix, self.space.columns, space=self.space.name)
        if self.one_by_one:
            return features(self.space.decode_rows(matrix))
        space, rows, lines = self.space, len(matrix), matrix.T.astype(np.intp, order="C")
        resolution = self.worth(lines, "resolution", space.resolutions) + np.zeros(rows)
        stems = self._stem_layers(lines)
        described = Description(resolution, stems[0], self._stems[0][0].stride)
        for layers, block in zip(stems[1:], self._stems[0][1:], strict=True):
            described.add(layers, block.stride)
        channels = np.asarray(stems[-1].outputs + np.zeros(rows)).astype(np.intp)
        for number, row in enumerate(space.stages):
            channels = self._add_stage(described, lines, number, row, channels)
        found = self._heads[self.index(lines, "head"), channels]
        return described.features(found[..., 0], found[..., 1])

    def index(self, lines: _Ints, name: str) -> _Ints | int:
        """Return the index of a choice's value in every row, 0 if it is not a choice.

        `lines` is a transposed matrix of picks.
        """
        place = self._columns.get(name)
        return 0 if place is None else lines[place]

    def worth(
        self,
        lines: _Ints,
        name: str,
        values: tuple[Value, ...],
        number: Callable[[Value], float] = float,
    ) -> Floats | float:
        """Return `number` of a choice's value in every row, or of the only value."""
        if name not in self._columns:
            return number(values[0])
        return np.array([number(value) for value in values])[self.index(lines, name)]

    def _stem_layers(self, lines: _Ints) -> list[Layers]:
        """Return the layers of the stem, looked up in a table for all its picks."""
        code = np.zeros(lines.shape[1], dtype=np.intp)
        for place, column in enumerate(self._stem_columns):
            code += lines[column] * prod(self._stem_sizes[place + 1 :])
        found = []
        for blocks in zip(*self._stems, strict=True):
            parts = [layers_of(block) for block in blocks]
            names = Layers.__slots__
            found.append(
                Layers(**{n: np.array([getattr(p, n) for p in parts])[code] for n in names})
            )
        return found

    def _add_stage(
        self, described: Description, lines: _Ints, number: int, row: Row, channels: _Ints
    ) -> _Ints:
        """Add the layers of one stage; return its output channels."""
        depth = self.worth(lines, f"stage{number + 1}_layers", row.options["layers"])
        stride = int(row.options["stride"][0])
        width = self._widths(lines, number)
        for layer in range(row.max_layers if row.per_layer else min(row.max_layers, 2)):
            behind = layer == 1 and not row.per_layer
            count = np.maximum(depth - 1, 0) if behind else np.greater(depth, layer) * 1.0
            stage = _Stage(self, lines, number, layer)
            layers = stage.layers(width if layer else channels, width)
            described.add(replace(layers, count=count), stride if layer == 0 else 1)
        return np.where(np.greater(depth, 0), width, channels)

    def _widths(self, lines: _Ints, number: int) -> _Ints:
        """Return the width of one stage in every row."""
        places = self.index(lines, "multiplier"), self.index(lines, f"stage{number + 1}_width")
        return np.broadcast_to(self._own_widths[number][places], lines.shape[1])

    def _width_table(self, row: Row) -> _Ints:
        """Return the widths of a stage, shape (multipliers, widths)."""
        multipliers, widths = self.space.multipliers, row.options["width"]
        return np.array([[multiplied(int(width), m) for width in widths] for m in multipliers])

    def _occurring(self) -> tuple[int, ...]:
        """Return all numbers of channels that occur between blocks."""
        found = {blocks[-1].out_channels for blocks in self._stems}
        for row, by in product(self.space.stages, self.space.multipliers):
            found |= {multiplied(int(width), by) for width in row.options["width"]}
        return tuple(sorted(found))

    def _head_table(self) -> Floats:
        """Return `head_of` for each head and each number of its input channels."""
        table = np.zeros((len(self.space.heads), self._channels[-1] + 1, 2))
        for (i, name), channels in product(enumerate(self.space.heads), self._channels):
            picks = {"head": name, "act": (self.space.acts or ("relu",))[0]}
            table[i, channels] = head_of(self.space.head_blocks(picks, channels))
        return table

    def hidden_table(self, ratios: tuple[Value, ...]) -> _Ints:
        """Return hidden channels by expansion, shape (input channels, expansions)."""
        if ratios not in self._hidden:
            table = np.zeros((self._channels[-1] + 1, len(ratios)), dtype=np.intp)
            for channels in self._channels:
                table[channels] = [times(channels, ratio) for ratio in ratios]
            self._hidden[ratios] = table
        return self._hidden[ratios]

    def squeeze_table(self, squeezing: Squeezing, ratios: tuple[Value, ...]) -> _Ints:
        """Return the widths of a squeeze-and-excitation, by the channels it is a ratio of."""
        key = (squeezing, ratios)
        if key not in self._squeezed:
            most = self.hidden_table(ratios)
            occurring = {*self._channels, *most[list(self._channels)].ravel().tolist()}
            table = np.zeros(max(occurring) + 1, dtype=np.intp)
            for channels in occurring:
                table[channels] = squeezing.channels(channels, channels)
            self._squeezed[key] = table
        return self._squeezed[key]


class _Stage:
    """One layer of one stage, in rows of picks."""

    def __init__(self, of: PicksFeatures, lines: _Ints, number: int, layer: int) -> None:
        self._of, self._lines = of, lines
        self._number, self._layer = number, layer
        self._row = of.space.stages[number]

    def layers(self, inputs: _Ints, outputs: _Ints) -> Layers:
        """Return the layer in every row, given its input and output channels."""
        inverted = self._worth("kind", lambda kind: float(kind == "mbconv"))
        rest = "expansion_rest" if "expansion_rest" in self._row.options else "expansion"
        field = rest if self._layer else "expansion"
        ratios = self._row.options[field]
        hidden = self._of.hidden_table(ratios)[inputs, self._index(field)]
        hidden = np.where(inverted, hidden, inputs)
        stride = int(self._row.options["stride"][0]) if self._layer == 0 else 1
        joins = self._worth("skip", lambda skip: float(shortcut(stride, str(skip))))
        return Layers(
            inputs=inputs.astype(float),
            hidden=hidden.astype(float),
            outputs=outputs.astype(float),
            kernel=self._worth("kernel", float),
            se=self._squeezes(inputs, hidden, ratios),
            smooth=self._worth("act", lambda act: float(act in SMOOTH)),
            shortcut=inverted * joins * (inputs == outputs),
            dense=self._worth("kind", lambda kind: float(kind == "conv")),
        )

    def _squeezes(self, inputs: _Ints, hidden: _Ints, ratios: tuple[Value, ...]) -> Floats:
        chosen, found = self._index("se"), np.zeros(len(inputs))
        for place, value in enumerate(self._row.options["se"]):
            squeezing = self._of.space.squeezings.get(value)
            if squeezing:
                follows = inputs if squeezing.of == "input" else hidden
                wide = self._of.squeeze_table(squeezing, ratios)[follows]
                found = np.where(np.equal(chosen, place), wide, found)
        return found

    def _name(self, field: str) -> str:
        own = f"layer{self._layer + 1}_" if field in self._row.per_layer else ""
        return f"stage{self._number + 1}_{own}{field}"

    def _index(self, field: str) -> _Ints | int:
        return self._of.index(self._lines, self._name(field))

    def _worth(self, field: str, number: Callable[[Value], float]) -> Floats | float:
        values = self._row.options[field]
        return self._of.worth(self._lines, self._name(field), values, number)
