"""Search spaces: named choices, and the encoding of architectures as picks.

Picks are a mapping from the name of a choice to its value. A matrix of picks has a row per
architecture and a column per choice, and holds the indices of values; batches are passed in this
form. A choice without influence (the kernel of a layer beyond the stage's depth) is inactive: its
index is 0 in a canonical matrix, and picks omit it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NotInSpace, unknown
from nas.network.blocks import Architecture, Block, Blocks, block_of
from nas.space.identity import fingerprint_of
from nas.space.matching import Nearest, difference, misfit, plausible
from nas.space.rows import (
    SHARED,
    Column,
    Condition,
    Picks,
    Row,
    Squeezing,
    Squeezings,
    Value,
    check_indices,
    combinations,
    conditions,
    head_columns,
    multiplied,
    stage_columns,
    stem_columns,
)

Matrix = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space: a stem, stages and a head, whose fields may be choices.

    `heads` are given by name; a single one is named "". `multipliers` apply to the stages' widths.
    `acts` are the activations for rows of stem and head that name none. `squeezings` are given by
    the value of field `se`. `baseline` names the bundled architecture that results are compared
    with; `fixed_features` is set in all architectures. `dtypes` belong to a search: if there are
    several, the last choice is the dtype in which an architecture runs; it does not change the
    architecture.
    """

    name: str
    resolutions: tuple[int, ...]
    stem: tuple[Row, ...]
    stages: tuple[Row, ...]
    heads: Mapping[str, tuple[Row, ...]]
    multipliers: tuple[float, ...] = (1.0,)
    acts: tuple[str, ...] = ()
    squeezings: Squeezings = field(default_factory=lambda: {True: Squeezing()})
    dropout: float = 0.0
    drop_connect: float = 0.0
    input_channels: int = 3
    baseline: str = ""
    fixed_features: bool = False
    dtypes: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The choices, in the order of a matrix's columns."""
        whole: dict[str, tuple[Value, ...]] = {
            "resolution": self.resolutions,
            "multiplier": self.multipliers,
            "act": self.acts,
            "head": tuple(self.heads),
        }
        first = [Column(name=n, values=v, field=n) for n, v in whole.items() if len(v) > 1]
        last = [Column(name=DTYPE, values=self.dtypes, field=DTYPE)] if self.dtypes[1:] else []
        inner = (*stem_columns(self.stem), *stage_columns(self.stages))
        return (*first, *inner, *head_columns(self.heads.get("", ())), *last)

    @cached_property
    def plain(self) -> "Space":
        """The same space without `dtypes`."""
        return replace(self, dtypes=()) if self.dtypes else self

    def split(self, matrix: Matrix) -> tuple[Matrix, NDArray[np.bool_] | None]:
        """Return the rows in the `plain` space, and which of them run in int8 (None: no choice)."""
        if not self.dtypes:
            return matrix, None
        if not self.dtypes[1:]:
            return matrix, np.full(len(matrix), self.dtypes == (INT8,))
        return matrix[:, :-1], matrix[:, -1] == self.dtypes.index(INT8)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Value, ...]]:
        """The choices by name."""
        return {column.name: column.values for column in self.columns}

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """The number of values of every column."""
        return np.array([len(column.values) for column in self.columns])

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal spaces whatever their names and dtypes."""
        return fingerprint_of(self)

    @cached_property
    def size(self) -> int:
        """The number of different picks.

        Some may describe equal networks: 0.5 times a width of 32 equals 1 times 16.
        """
        return combinations(self.columns, self.stages)

    # Picks and matrices

    def sample_matrix(self, rng: np.random.Generator, count: int) -> Matrix:
        """Return `count` random canonical rows, shape (count, columns); rows may repeat."""
        indices = rng.integers(0, self.widths, size=(count, len(self.widths)))
        return self.canonical(indices.astype(np.uint8))

    def canonical(self, matrix: Matrix) -> Matrix:
        """Return a copy of `matrix` with 0 for every inactive choice."""
        return np.where(self.active(matrix), matrix, np.uint8(0))

    def active(self, matrix: Matrix) -> NDArray[np.bool_]:
        """Return where in `matrix` a choice has an influence; its indices must be valid."""
        if not self._valid(matrix):
            check_indices(matrix, self.columns, space=self.name)
        result = np.ones(matrix.shape, dtype=bool)
        for column, where, enough in self._conditions:
            result[:, column] &= enough[matrix[:, where]]
        return result

    def _valid(self, matrix: Matrix) -> bool:
        """Return whether the indices are of the usual type and in range, which is quick to tell."""
        known = matrix.dtype == np.uint8 and matrix.shape[1:] == self.widths.shape
        return known and not bool((matrix > self._last).any())

    @cached_property
    def _last(self) -> Matrix:
        return (self.widths - 1).astype(np.uint8)

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        return tuple(conditions(self.columns))

    def pack(self, picks: Picks) -> Matrix:
        """Return the row of `picks`, shape (columns,); inactive choices may be omitted.

        Raises:
            NotInSpace: if a name or value is not in this space, or an active choice is missing.
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
            NotInSpace: if `picks` are not in this space.
        """
        return self.decode_row(self.pack(picks))

    def decode_row(self, row: Matrix) -> Architecture:
        """Return the architecture of one row of a matrix."""
        return self.decode_rows(row[None])[0]

    def decode_rows(self, rows: Matrix) -> tuple[Architecture, ...]:
        """Return the architectures of all rows; shared stages are built once."""
        check_indices(rows, self.columns, space=self.name)
        rows, stage_of = rows.astype(np.uint8), cache(self._stage_of)
        return tuple(self._decoded(row, stage_of) for row in rows)

    def _decoded(self, row: Matrix, stage_of: Callable[[int, bytes, int], Blocks]) -> Architecture:
        values = {c.name: c.values[i] for c, i in zip(self.columns, row, strict=True)}
        stem = self.stem_blocks(values)
        channels = stem[-1].out_channels
        stages = []
        for s, own in enumerate(self._deciding):
            stages.append(stage_of(s, row[own].tobytes(), channels))
            channels = stages[-1][-1].out_channels if stages[-1] else channels
        return Architecture(
            resolution=int(values.get("resolution", self.resolutions[0])),
            stem=stem,
            stages=tuple(stages),
            head=self.head_blocks(values, channels),
            input_channels=self.input_channels,
            dropout=self.dropout,
            drop_connect=self.drop_connect,
            fixed_features=self.fixed_features,
        )

    def _stage_of(self, stage: int, picked: bytes, in_channels: int) -> Blocks:
        """Return the blocks of a stage, given the picks of the choices it depends on."""
        columns = [self.columns[i] for i in self._deciding[stage]]
        values = {c.name: c.values[i] for c, i in zip(columns, picked, strict=True)}
        return self.stage_blocks(stage, values, in_channels)

    @cached_property
    def _deciding(self) -> tuple[list[int], ...]:
        """The columns that each stage depends on, besides its input channels."""
        return tuple(
            [i for i, c in enumerate(self.columns) if c.stage == s or c.field == "multiplier"]
            for s in range(len(self.stages))
        )

    def stem_blocks(self, values: Picks) -> Blocks:
        """Return the blocks of the stem for one value of each of its choices."""
        return tuple(block_of(**f) for f in self.fields_around("stem", values, self.input_channels))

    def head_blocks(self, values: Picks, in_channels: int) -> Blocks:
        """Return the blocks of the head that `values` names."""
        return tuple(block_of(**f) for f in self.fields_around("head", values, in_channels))

    def fields_around(
        self, place: str, values: Mapping[str, Any], channels: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the fields of each block of the stem or the head; see `Row.fields`."""
        head = self.heads[str(values.get("head", next(iter(self.heads))))]
        for number, row in enumerate(self.stem if place == "stem" else head, 1):
            own = {k: values.get(f"{place}{number}_{k}", v[0]) for k, v in row.options.items()}
            if own["act"] == SHARED:
                own["act"] = values.get("act", self.acts[0])
            fields = row.fields(own, channels, 0, self.squeezings)
            yield fields
            channels = fields["out_channels"]

    def stage_blocks(self, stage: int, values: Picks, in_channels: int) -> Blocks:
        """Return the blocks of one stage, from 0, for one value of each of its choices."""
        name, depths = f"stage{stage + 1}_layers", self.stages[stage].options["layers"]
        blocks: list[Block] = []
        for layer in range(int(values.get(name, depths[0]))):
            channels = blocks[-1].out_channels if blocks else in_channels
            blocks.append(self.layer_block(stage, layer, values, channels))
        return tuple(blocks)

    def layer_block(self, stage: int, layer: int, values: Picks, in_channels: int) -> Block:
        """Return the block of one layer, from 0, of a stage."""
        own = self.layer_values(stage, layer, values)
        multiplier = float(values.get("multiplier", self.multipliers[0]))
        own["width"] = multiplied(own["width"], multiplier)
        return block_of(**self.stages[stage].fields(own, in_channels, layer, self.squeezings))

    def layer_values(self, stage: int, layer: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the fields of one layer, from 0, of a stage."""
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        return {
            key: values.get(
                f"{prefix}layer{layer + 1}_{key}" if key in row.per_layer else f"{prefix}{key}",
                options[0],
            )
            for key, options in row.options.items()
        }

    def encode(self, arch: Architecture) -> Picks:
        """Return the picks whose architecture is `arch`, the first ones if there are several.

        Dropout is ignored: it belongs to the training, and the space has its own.

        Raises:
            NotInSpace: if `arch` is not in this space; the message names the first difference.
        """
        what = arch.name or "the architecture"
        if arch.resolution not in self.resolutions:
            raise self._no_point(what, f"resolution is {arch.resolution}", self.resolutions)
        if len(arch.stages) != len(self.stages):
            raise self._no_point(what, f"it has {len(arch.stages)} stages", (len(self.stages),))
        around = self._encode_around(what, arch)
        inside = self._encode_stages(what, arch)
        if arch.input_channels != self.input_channels:
            found = f"input_channels is {arch.input_channels}"
            raise self._no_point(what, found, (self.input_channels,))
        first: Picks = {"resolution": arch.resolution, DTYPE: next(iter(self.dtypes), "")}
        picks: dict[str, Value] = {**first, **around, **inside}
        return {c.name: picks[c.name] for c in self.columns if c.name in picks}

    def _encode_around(self, what: str, arch: Architecture) -> Picks:
        """Return the picks of stem and head, which may share an activation."""
        inner = [stage for stage in (arch.stem, *arch.stages) if stage]
        channels = inner[-1][-1].out_channels if inner else self.input_channels
        found = Nearest((arch.stem, arch.head))
        free = [c for c in self.columns if c.stage is None and c.field not in _ELSEWHERE]
        for values in product(*(c.values for c in free)):
            picks = {c.name: v for c, v in zip(free, values, strict=True)}
            found.add(picks, (self.stem_blocks(picks), self.head_blocks(picks, channels)))
        for place, own, nearest in zip(("stem", "head"), found.wanted, found.blocks, strict=True):
            if own != nearest:
                raise self._no_point(what, difference(place, own, nearest))
        return found.picks

    def _encode_stages(self, what: str, arch: Architecture) -> Picks:
        """Return the first multiplier that fits, and the picks of the stages under it."""
        errors = []
        for multiplier in sorted(self.multipliers, key=partial(misfit, self.stages, arch.stages)):
            picks: dict[str, Value] = {"multiplier": multiplier}
            channels = arch.stem[-1].out_channels if arch.stem else self.input_channels
            try:
                for s, blocks in enumerate(arch.stages):
                    key = (s, channels, blocks, multiplier)
                    if key not in self._encoded:
                        self._encoded[key] = self._encode_stage(what, key)
                    picks |= self._encoded[key]
                    channels = blocks[-1].out_channels if blocks else channels
                return picks
            except NotInSpace as error:
                errors.append(error)
        raise errors[0]

    @cached_property
    def _encoded(self) -> dict[tuple[int, int, Blocks, float], Picks]:
        """A cache of encoded stages, by number, input channels, blocks and multiplier."""
        return {}

    def _encode_stage(self, what: str, key: tuple[int, int, Blocks, float]) -> Picks:
        stage, channels, blocks, multiplier = key
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        if len(blocks) not in row.options["layers"]:
            found = f"stage {stage + 1} has {len(blocks)} layers"
            raise self._no_point(what, found, row.options["layers"])
        nearest = Nearest((blocks,))
        for picks in self._stage_picks(stage, blocks, channels, multiplier):
            nearest.add(picks, (self.stage_blocks(stage, picks, channels),))
            if nearest.exact:
                break
        if not nearest.exact:
            raise self._no_point(what, difference(f"stage {stage + 1}", blocks, nearest.blocks[0]))
        kind = str(nearest.picks.get(f"{prefix}kind", row.options["kind"][0]))
        return {
            c.name: nearest.picks.get(c.name, c.values[0])
            for c in self.columns
            if c.stage == stage and c.is_active(kind, len(blocks))
        }

    def _stage_picks(
        self, stage: int, blocks: Blocks, channels: int, multiplier: float
    ) -> Iterator[Picks]:
        """Yield picks of one stage that may describe `blocks`, chosen layer by layer."""
        row, prefix = self.stages[stage], f"stage{stage + 1}_"
        shared = [c for c in self.columns if c.stage == stage and c.layer is None]
        free = [c for c in shared if c.field != "layers"]
        for values in product(*(plausible(c, blocks, multiplier) for c in free)):
            picks: dict[str, Value] = {c.name: v for c, v in zip(free, values, strict=True)}
            picks |= {f"{prefix}layers": len(blocks), "multiplier": multiplier}
            for layer in range(len(blocks) if row.per_layer else 0):
                picks |= self._nearest_layer(stage, layer, picks, blocks, channels)
            yield picks

    def _nearest_layer(
        self, stage: int, layer: int, picks: Picks, blocks: Blocks, channels: int
    ) -> Picks:
        own = [c for c in self.columns if c.stage == stage and c.layer == layer]
        before = blocks[layer - 1].out_channels if layer else channels
        nearest = Nearest((blocks[layer : layer + 1],))
        for values in product(*(c.values for c in own)):
            option = {c.name: v for c, v in zip(own, values, strict=True)}
            nearest.add(option, ((self.layer_block(stage, layer, {**picks, **option}, before),),))
        return nearest.picks

    def _no_point(self, what: str, found: str, there: tuple[Any, ...] = ()) -> NotInSpace:
        has = f"; the space has {', '.join(map(str, there))}" if there else ""
        return NotInSpace(f"{what} is not in space {self.name}: {found}{has}")


DTYPE, INT8 = "dtype", "int8"
_ELSEWHERE = ("resolution", "multiplier", DTYPE)
"""Choices of the network that do not affect stem and head."""
