"""The rows of a search space: fields with their choices, and the blocks they describe."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NotInSpace
from nas.core.schema import Count, OneOf, Range
from nas.network.blocks import ACTS, GATES
from nas.network.kinds import CHOICES, EXPANDS
from nas.network.lowering import kind_of
from nas.network.multipliers import round_channels

Value = int | float | bool | str
Picks = Mapping[str, Value]
Whole = TypeVar("Whole", int, NDArray[np.int64])
"""A whole number, or an array of them."""

REST = "expansion_rest"

SHARED = ""
"""The value of `act` for rows of stem and head that use the space's activation."""

SAME = "same"
"""The value of `act` for a squeeze-and-excitation that uses its block's activation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeezing:
    """The width of a squeeze-and-excitation: `ratio` of the block's "input" or "hidden" channels.

    `act` and `gate`, if given, replace the row's `se_act` and `gate`; the `act` "same" means the
    activation of the block.
    """

    ratio: Annotated[float, Range(0, 1, above=True)] = 0.25
    of: Annotated[str, OneOf(("input", "hidden"))] = "input"
    divisor: Count = 1
    act: Annotated[str, OneOf(("", SAME, *ACTS))] = ""
    gate: Annotated[str, OneOf(("", *GATES))] = ""

    def channels(self, in_channels: Whole, hidden_channels: Whole) -> Whole:
        """Return the width in channels, a multiple of `divisor`; for arrays, an array."""
        return each(self._width, in_channels if self.of == "input" else hidden_channels)

    def _width(self, channels: int) -> int:
        wanted = self.ratio * channels
        if self.divisor == 1:
            return max(1, int(wanted))
        return round_channels(wanted, divisor=self.divisor)

    def fields(self, act: str, se_act: str, gate: str) -> dict[str, str]:
        """Return `se_act` and `gate` of a block, given those of its row."""
        own = act if self.act == SAME else self.act
        return {"se_act": own or se_act, "gate": self.gate or gate}


Squeezings = Mapping[Value, Squeezing]
"""Squeeze-and-excitations by the value of field `se`: a name, or true for the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a space's file: the values of every field, a single one if it is fixed."""

    options: Mapping[str, tuple[Value, ...]]
    per_layer: tuple[str, ...] = ()

    @property
    def max_layers(self) -> int:
        """The largest depth."""
        return max(int(n) for n in self.options["layers"])

    def fields(
        self, values: Mapping[str, Any], in_channels: Any, layer: int, squeezings: Squeezings
    ) -> dict[str, Any]:
        """Return the fields of the block at `layer`, from 0, for one value of every field.

        `in_channels`, width and kernel may be arrays; then the fields that depend on them are too.
        """
        kind, squeezing = str(values["kind"]), squeezings.get(values["se"])
        expands = reads(kind, EXPANDS)
        hidden = times(in_channels, _expansion(values, layer)) if expands else 0
        act = "relu6" if kind == "pool" else str(values["act"])
        found = {
            "kind": kind,
            "in_channels": in_channels,
            "out_channels": in_channels if kind == "pool" else _width(values, in_channels),
            "hidden_channels": hidden,
            "kernel": values["kernel"] if reads(kind, "kernel") else 1,
            "stride": int(values["stride"]) if layer == 0 else 1,
            "se_channels": 0,
            "act": act,
            "se_act": "relu",
            "gate": "sigmoid",
            "skip": str(values["skip"]) if reads(kind, "skip") else "identity",
        }
        if squeezing and reads(kind, "se"):
            inner = hidden if expands else in_channels
            found["se_channels"] = squeezing.channels(in_channels, inner)
            found |= squeezing.fields(act, str(values["se_act"]), str(values["gate"]))
        return found


def reads(kind: Value, field: str) -> bool:
    """Return whether blocks of a kind depend on a field; if not, its choices are inactive."""
    choice = EXPANDS if field == REST else field
    return choice not in CHOICES or choice in kind_of(str(kind)).choices


def each(function: Callable[[int], int], numbers: Whole) -> Whole:
    """Return `function` of a number, or of every element of an array."""
    if not isinstance(numbers, np.ndarray):
        return function(numbers)
    occurring = np.flatnonzero(np.bincount(numbers))
    table = np.zeros(occurring[-1] + 1, dtype=np.int64)
    table[occurring] = [function(number) for number in occurring.tolist()]
    return table[numbers]


def times(channels: Whole, ratio: float | str) -> Whole:
    """Return `channels` times `ratio`, rounded to a multiple of 8 if the ratio is not whole."""
    ratio = float(ratio)
    if ratio.is_integer():
        return channels * int(ratio)
    return each(lambda number: round_channels(number * ratio), channels)


def multiplied(width: int, multiplier: float) -> int:
    """Return the width of a stage under a width multiplier."""
    return width if multiplier == 1 else round_channels(width * multiplier)


def _expansion(values: Mapping[str, Any], layer: int) -> float | str:
    name = REST if layer and REST in values else EXPANDS
    return values[name]  # type: ignore[no-any-return]  # a ratio is never an array


def _width(values: Mapping[str, Any], in_channels: Any) -> Any:
    ratio = values.get("width_ratio")
    return values["width"] if ratio is None else times(in_channels, ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One choice: its name, its values, and where it applies (stage and layer, from 0).

    `stage` is None for choices of the network, its stem or its head; `layer` is None for choices
    of all layers of a stage.
    """

    name: str
    values: tuple[Value, ...]
    field: str
    stage: int | None = None
    layer: int | None = None

    @property
    def least_layers(self) -> int:
        """The smallest depth of the stage at which the choice has an influence."""
        if self.stage is None or self.field == "layers":
            return 0
        if self.layer is not None:
            return self.layer + 1
        return 2 if self.field == REST else 1

    def is_active(self, kind: str, layers: int) -> bool:
        """Return whether the choice has an influence in a stage of `kind` and depth `layers`."""
        return reads(kind, self.field) and layers >= self.least_layers


def stem_columns(rows: tuple[Row, ...]) -> Iterator[Column]:
    """Yield the choices of the stem."""
    for number, row in enumerate(rows):
        for field, values in row.options.items():
            if len(values) > 1:
                yield Column(name=f"stem{number + 1}_{field}", values=values, field=field)


def head_columns(rows: tuple[Row, ...]) -> Iterator[Column]:
    """Yield the choices of the only head."""
    for number, row in enumerate(rows):
        for field, values in row.options.items():
            if len(values) > 1:
                yield Column(name=f"head{number + 1}_{field}", values=values, field=field)


def stage_columns(stages: tuple[Row, ...]) -> Iterator[Column]:
    """Yield the choices of the stages, stage by stage."""
    for s, row in enumerate(stages):
        for field, values in row.options.items():
            if len(values) > 1 and field not in row.per_layer:
                column = Column(name=f"stage{s + 1}_{field}", values=values, field=field, stage=s)
                if column.least_layers <= row.max_layers:
                    yield column
        for layer in range(row.max_layers if row.per_layer else 0):
            for field in row.per_layer:
                name = f"stage{s + 1}_layer{layer + 1}_{field}"
                yield Column(
                    name=name, values=row.options[field], field=field, stage=s, layer=layer
                )


def combinations(columns: tuple[Column, ...], stages: tuple[Row, ...]) -> int:
    """Return the number of different picks, without those of inactive choices."""
    whole = prod(len(column.values) for column in columns if column.stage is None)
    return whole * prod(
        _of_stage([c for c in columns if c.stage == s], row) for s, row in enumerate(stages)
    )


def _of_stage(columns: list[Column], row: Row) -> int:
    kinds, depths = row.options["kind"], row.options["layers"]
    return sum(
        prod(
            len(c.values)
            for c in columns
            if c.field not in ("kind", "layers") and c.is_active(str(kind), int(layers))
        )
        for kind, layers in product(kinds, depths)
        if layers or kind == kinds[0]
    )


Condition = tuple[int, int, NDArray[np.bool_]]
"""A column, the column it depends on, and the values of the latter for which it is active."""


def conditions(columns: tuple[Column, ...]) -> Iterator[Condition]:
    """Yield the conditions under which choices have an influence."""
    index = {column.name: i for i, column in enumerate(columns)}
    for i, column in enumerate(columns):
        if column.stage is None:
            continue
        stage = f"stage{column.stage + 1}"
        kinds, depth = index.get(f"{stage}_kind"), index.get(f"{stage}_layers")
        if column.field != "kind" and kinds is not None:
            fits = [reads(kind, column.field) for kind in columns[kinds].values]
            if not all(fits):
                yield i, kinds, np.array(fits)
        if column.least_layers and depth is not None:
            deep = [int(n) >= column.least_layers for n in columns[depth].values]
            if not all(deep):
                yield i, depth, np.array(deep)


def wrong_index(matrix: NDArray[Any], columns: Sequence[Column]) -> str:
    """Return what is wrong with a matrix of picks, shape (n, columns), or ""."""
    shape = f"shape (n, {len(columns)})"
    if matrix.ndim != 2 or matrix.shape[1] != len(columns):
        return f"a matrix of shape {matrix.shape}; expected {shape}"
    if matrix.dtype.kind not in "iu":
        return f"a matrix of {matrix.dtype}; expected uint8, {shape}"
    most = np.array([len(column.values) - 1 for column in columns], dtype=np.uint8)
    wrong = matrix > most if matrix.dtype.kind == "u" else (matrix > most) | (matrix < 0)
    if not wrong.any():
        return ""
    row, place = np.argwhere(wrong)[0].tolist()
    column = columns[place]
    return (
        f"index {matrix[row, place]} for {column.name} in row {row}, whose {len(column.values)} "
        f"values have indices 0 to {len(column.values) - 1}"
    )


def check_indices(matrix: NDArray[Any], columns: Sequence[Column], *, space: str) -> None:
    """Reject a matrix of picks that does not fit `columns`, or has indices out of range.

    Raises:
        NotInSpace: naming the `space`, the choice and the index.
    """
    if problem := wrong_index(matrix, columns):
        raise NotInSpace(f"space {space}: {problem}")


def coordinates(values: tuple[Value, ...]) -> NDArray[np.float64]:
    """Return the coordinates of the values of one choice, shape (values, coordinates).

    Numbers have one coordinate, their logarithm (if all are positive), standardised, so that near
    values are near each other. Texts have one coordinate each.
    """
    if any(isinstance(value, str) for value in values):
        return np.eye(len(values))
    numbers = np.array(values, dtype=float)
    numbers = np.log(numbers) if numbers.min() > 0 else numbers
    placed: NDArray[np.float64] = (numbers - numbers.mean()) / numbers.std()
    return placed[:, None]
