"""Search spaces: named choices, and the way from picks to an architecture and back.

Picks are a mapping from the name of a choice to its value. A matrix of picks has a row for each
architecture and a column for each choice, holding the index of the value; batches travel in this
form. A choice that has no influence (the kernel of a layer beyond the stage's depth) is inactive:
its index is 0 in a canonical matrix, and picks leave it out.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NotInSpace, unknown
from nas.network.blocks import Architecture, Block, Blocks
from nas.space.rows import APPLIES_TO, Column, Picks, Row, Squeezing, Value, columns_of

Matrix = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space: fixed stem and head, and stages whose fields may be choices.

    `baseline` names the bundled architecture that results are compared with; `fixed_features` is
    that of all its architectures.
    """

    name: str
    resolutions: tuple[int, ...]
    stem: tuple[Row, ...]
    stages: tuple[Row, ...]
    head: tuple[Row, ...]
    squeezing: Squeezing = field(default_factory=Squeezing)
    dropout: float = 0.0
    drop_connect: float = 0.0
    input_channels: int = 3
    baseline: str = ""
    fixed_features: bool = False

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The choices in the order of a matrix's columns."""
        return tuple(columns_of(self.resolutions, self.stages))

    @cached_property
    def choices(self) -> Mapping[str, tuple[Value, ...]]:
        """The choices by name."""
        return {column.name: column.values for column in self.columns}

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """How many values every column has."""
        return np.array([len(column.values) for column in self.columns])

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that are equal for equal spaces, whatever their names."""
        content = {
            "input": [self.input_channels, *self.resolutions],
            "rows": [
                [sorted((key, list(v)) for key, v in row.options.items()), list(row.per_layer)]
                for row in (*self.stem, *self.stages, *self.head)
            ],
            "parts": [len(self.stem), len(self.stages), len(self.head)],
            "se": [self.squeezing.ratio, self.squeezing.of, self.squeezing.divisor],
            "drop": [self.dropout, self.drop_connect],
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @cached_property
    def size(self) -> int:
        """The number of different architectures."""
        return len(self.resolutions) * prod(self._stage_size(s) for s in range(len(self.stages)))

    def _stage_size(self, stage: int) -> int:
        row, columns = self.stages[stage], [c for c in self.columns if c.stage == stage]
        return sum(
            prod(
                len(c.values)
                for c in columns
                if c.field not in ("kind", "layers") and c.is_active(str(kind), int(layers))
            )
            for kind, layers in product(row.options["kind"], row.options["layers"])
        )

    # Picks and matrices

    def sample_matrix(self, rng: np.random.Generator, count: int) -> Matrix:
        """Return `count` random rows, shape (count, columns), canonical; rows may repeat."""
        indices = rng.integers(0, self.widths, size=(count, len(self.widths)))
        return self.canonical(indices.astype(np.uint8))

    def canonical(self, matrix: Matrix) -> Matrix:
        """Return a copy of `matrix` with 0 for every inactive choice."""
        return np.where(self.active(matrix), matrix, np.uint8(0))

    def active(self, matrix: Matrix) -> NDArray[np.bool_]:
        """Return where in `matrix` a choice has an influence, of the same shape."""
        result = np.ones(matrix.shape, dtype=bool)
        for column, where, enough in self._conditions:
            result[:, column] &= enough[matrix[:, where]]
        return result

    @cached_property
    def _conditions(self) -> tuple[tuple[int, int, NDArray[np.bool_]], ...]:
        """(column, the column it depends on, for which values of that one it is active)."""
        found = []
        index = {column.name: i for i, column in enumerate(self.columns)}
        for i, column in enumerate(self.columns):
            stage = f"stage{(column.stage or 0) + 1}"
            kinds, depth = index.get(f"{stage}_kind"), index.get(f"{stage}_layers")
            if column.field in APPLIES_TO and kinds is not None:
                fits = [k in APPLIES_TO[column.field] for k in self.columns[kinds].values]
                found.append((i, kinds, np.array(fits)))
            if column.layer is not None and depth is not None:
                deep = [int(n) > column.layer for n in self.columns[depth].values]
                found.append((i, depth, np.array(deep)))
        return tuple(found)

    def pack(self, picks: Picks) -> Matrix:
        """Return the row of `picks`, shape (columns,); inactive choices may be left out.

        Raises:
            NotInSpace: if a name or a value is not of this space, or an active choice is missing.
        """
        for name in picks:
            if name not in self.choices:
                raise NotInSpace(f"space {self.name}: {unknown('choice', name, self.choices)}")
        row = np.array([self._index(c, picks) for c in self.columns], dtype=np.uint8)
        active = self.active(row[None])[0]
        missing = [
            c.name for c, on in zip(self.columns, active, strict=True) if on and c.name not in picks
        ]
        if missing:
            raise NotInSpace(f"space {self.name}: no pick for {', '.join(missing)}")
        return np.where(active, row, np.uint8(0))

    def _index(self, column: Column, picks: Picks) -> int:
        if column.name not in picks:
            return 0
        value = picks[column.name]
        if value not in column.values:
            raise NotInSpace(
                f"space {self.name}: {column.name} is {value!r}; "
                f"there are {', '.join(map(str, column.values))}"
            )
        return column.values.index(value)

    def unpack(self, row: Matrix) -> Picks:
        """Return the active picks of one row."""
        active = self.active(row[None])[0]
        columns = zip(self.columns, row, active, strict=True)
        return {column.name: column.values[i] for column, i, on in columns if on}

    # Architectures

    def decode(self, picks: Picks) -> Architecture:
        """Return the architecture of `picks`.

        Raises:
            NotInSpace: if `picks` are not of this space.
        """
        return self.decode_row(self.pack(picks))

    def decode_row(self, row: Matrix) -> Architecture:
        """Return the architecture of one row of a matrix."""
        values = {c.name: c.values[i] for c, i in zip(self.columns, row, strict=True)}
        stem = self.fixed_blocks(self.stem, self.input_channels)
        channels = stem[-1].out_channels
        stages = []
        for s in range(len(self.stages)):
            stages.append(self.stage_blocks(s, values, channels))
            channels = stages[-1][-1].out_channels
        head = self.fixed_blocks(self.head, channels)
        return Architecture(
            resolution=int(values.get("resolution", self.resolutions[0])),
            stem=stem,
            stages=tuple(stages),
            head=head,
            input_channels=self.input_channels,
            dropout=self.dropout,
            drop_connect=self.drop_connect,
            fixed_features=self.fixed_features,
        )

    def fixed_blocks(self, rows: tuple[Row, ...], channels: int) -> Blocks:
        """Return the blocks of the stem or head, the first with `channels` input channels."""
        blocks = []
        for row in rows:
            values = {key: options[0] for key, options in row.options.items()}
            blocks.append(row.block(values, channels, 0, self.squeezing))
            channels = blocks[-1].out_channels
        return tuple(blocks)

    def stage_blocks(self, stage: int, values: Picks, in_channels: int) -> Blocks:
        """Return the blocks of one stage, from 0, for one value of each of its choices."""
        name, depths = f"stage{stage + 1}_layers", self.stages[stage].options["layers"]
        blocks: list[Block] = []
        for layer in range(int(values.get(name, depths[0]))):
            channels = blocks[-1].out_channels if blocks else in_channels
            blocks.append(self._layer_block(stage, layer, values, channels))
        return tuple(blocks)

    def _layer_block(self, stage: int, layer: int, values: Picks, in_channels: int) -> Block:
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        own = {
            key: values.get(
                f"{prefix}layer{layer + 1}_{key}" if key in row.per_layer else f"{prefix}{key}",
                options[0],
            )
            for key, options in row.options.items()
        }
        return row.block(own, in_channels, layer, self.squeezing)

    def encode(self, arch: Architecture) -> Picks:
        """Return the picks whose architecture is `arch`.

        Raises:
            NotInSpace: if it is no point of this space; the message says what differs first.
        """
        what = arch.name or "the architecture"
        if arch.resolution not in self.resolutions:
            raise self._no_point(what, f"resolution is {arch.resolution}", self.resolutions)
        if len(arch.stages) != len(self.stages):
            raise self._no_point(what, f"it has {len(arch.stages)} stages", (len(self.stages),))
        picks: dict[str, Value] = (
            {"resolution": arch.resolution} if len(self.resolutions) > 1 else {}
        )
        stem = self.fixed_blocks(self.stem, self.input_channels)
        channels = stem[-1].out_channels
        if arch.stem != stem:
            raise self._no_point(what, _difference("stem", arch.stem, stem))
        for s, blocks in enumerate(arch.stages):
            key = (s, channels, blocks)
            if key not in self._encoded:
                self._encoded[key] = self._encode_stage(what, s, blocks, channels)
            picks |= self._encoded[key]
            channels = blocks[-1].out_channels
        head = self.fixed_blocks(self.head, channels)
        if arch.head != head:
            raise self._no_point(what, _difference("head", arch.head, head))
        for name in ("input_channels", "dropout", "drop_connect"):
            own, found = getattr(self, name), getattr(arch, name)
            if own != found:
                raise self._no_point(what, f"{name} is {found}", (own,))
        return picks

    @cached_property
    def _encoded(self) -> dict[tuple[int, int, Blocks], Picks]:
        """The stages that were encoded before, by number, input channels and blocks."""
        return {}

    def _encode_stage(self, what: str, stage: int, blocks: Blocks, channels: int) -> Picks:
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        if len(blocks) not in row.options["layers"]:
            raise self._no_point(
                what, f"stage {stage + 1} has {len(blocks)} layers", row.options["layers"]
            )
        best: tuple[int, Blocks] | None = None
        for picks in self._stage_picks(stage, blocks, channels):
            candidate = self.stage_blocks(stage, picks, channels)
            if candidate == blocks:
                full = {
                    c.name: picks.get(c.name, c.values[0]) for c in self.columns if c.stage == stage
                }
                kind = str(picks.get(f"{prefix}kind", row.options["kind"][0]))
                return {
                    c.name: full[c.name]
                    for c in self.columns
                    if c.stage == stage and c.is_active(kind, len(blocks))
                }
            distance = sum(_fields_apart(a, b) for a, b in zip(blocks, candidate, strict=True))
            best = min(
                best or (distance, candidate), (distance, candidate), key=lambda pair: pair[0]
            )
        nearest = best[1] if best else ()
        raise self._no_point(what, _difference(f"stage {stage + 1}", blocks, nearest))

    def _stage_picks(self, stage: int, blocks: Blocks, channels: int) -> Iterator[Picks]:
        """Yield picks of one stage that may give `blocks`: all of them, layer by layer at best."""
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        shared = [c for c in self.columns if c.stage == stage and c.layer is None]
        free = [c for c in shared if c.field != "layers"]
        for values in product(*(c.values for c in free)):
            picks: dict[str, Value] = {c.name: v for c, v in zip(free, values, strict=True)}
            picks[f"{prefix}layers"] = len(blocks)
            for layer in range(len(blocks) if row.per_layer else 0):
                picks |= self._nearest_layer(stage, layer, picks, blocks, channels)
            yield picks

    def _nearest_layer(
        self, stage: int, layer: int, picks: Picks, blocks: Blocks, channels: int
    ) -> Picks:
        own = [c for c in self.columns if c.stage == stage and c.layer == layer]
        before = blocks[layer - 1].out_channels if layer else channels
        options = [
            {c.name: v for c, v in zip(own, values, strict=True)}
            for values in product(*(c.values for c in own))
        ]
        made = [self._layer_block(stage, layer, {**picks, **o}, before) for o in options]
        if blocks[layer] in made:
            return options[made.index(blocks[layer])]
        distances = [_fields_apart(block, blocks[layer]) for block in made]
        return options[distances.index(min(distances))]

    def _no_point(self, what: str, found: str, there: tuple[Any, ...] = ()) -> NotInSpace:
        has = f"; the space has {', '.join(map(str, there))}" if there else ""
        return NotInSpace(f"{what} is no point of space {self.name}: {found}{has}")


def _fields_apart(one: Block, other: Block) -> int:
    return sum(getattr(one, f.name) != getattr(other, f.name) for f in fields(Block))


def _difference(place: str, found: Blocks, nearest: Blocks) -> str:
    """Say which field differs first between two rows of blocks."""
    if len(found) != len(nearest):
        return f"{place} has {len(found)} blocks where the space has {len(nearest)}"
    for i, (one, other) in enumerate(zip(found, nearest, strict=True)):
        for f in fields(Block):
            a, b = getattr(one, f.name), getattr(other, f.name)
            if a != b:
                return f"{place}, block {i + 1}: {f.name} is {a}, the nearest choice has {b}"
    return f"{place} differs"
