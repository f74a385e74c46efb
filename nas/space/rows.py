"""The rows of a search space: fields with their choices, and the blocks they give."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from nas.core.schema import Count, OneOf, Range
from nas.network.blocks import Block
from nas.network.multipliers import round_channels

Value = int | bool | str
Picks = Mapping[str, Value]

APPLIES_TO = {"expansion": ("mbconv",), "skip": ("mbconv",)}
"""Fields that only some kinds of block have; for the other kinds a choice of them is inactive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeezing:
    """How wide a squeeze-and-excitation is: `ratio` of the block's "input" or "hidden" channels."""

    ratio: Annotated[float, Range(0, 1, above=True)] = 0.25
    of: Annotated[str, OneOf(("input", "hidden"))] = "input"
    divisor: Count = 1

    def channels(self, in_channels: int, hidden_channels: int) -> int:
        """Return the width in whole channels, a multiple of `divisor`."""
        wanted = self.ratio * (in_channels if self.of == "input" else hidden_channels)
        return (
            round_channels(wanted, divisor=self.divisor)
            if self.divisor > 1
            else max(1, int(wanted))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a space's file: every field with its choices, a single one where it is fixed."""

    options: Mapping[str, tuple[Value, ...]]
    per_layer: tuple[str, ...] = ()

    @property
    def max_layers(self) -> int:
        """The largest depth."""
        return max(int(n) for n in self.options["layers"])

    def block(self, values: Picks, in_channels: int, layer: int, squeezing: Squeezing) -> Block:
        """Return the block that stands at `layer`, from 0, for one value of every field."""
        kind, width = str(values["kind"]), int(values["width"])
        hidden = in_channels * int(values["expansion"]) if kind == "mbconv" else 0
        has_se = bool(values["se"])
        return Block(
            kind=kind,
            in_channels=in_channels,
            out_channels=in_channels if kind == "pool" else width,
            hidden_channels=hidden,
            kernel=int(values["kernel"]),
            stride=int(values["stride"]) if layer == 0 else 1,
            se_channels=squeezing.channels(in_channels, hidden or in_channels) if has_se else 0,
            act="relu6" if kind == "pool" else str(values["act"]),
            se_act=str(values["se_act"]) if has_se else "relu",
            gate=str(values["gate"]) if has_se else "sigmoid",
            skip=str(values["skip"]) if kind in APPLIES_TO["skip"] else "identity",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One choice: its name, its values, and where in the space it acts (stage and layer from 0).

    `stage` is None for the resolution; `layer` is None where the choice holds for a whole stage.
    """

    name: str
    values: tuple[Value, ...]
    field: str
    stage: int | None = None
    layer: int | None = None

    def is_active(self, kind: str, layers: int) -> bool:
        """Return whether the choice has an influence in a stage of `kind` and depth `layers`."""
        fits = kind in APPLIES_TO.get(self.field, (kind,))
        return fits and (self.layer is None or self.layer < layers)


def columns_of(resolutions: tuple[int, ...], stages: tuple[Row, ...]) -> Iterator[Column]:
    """Yield the choices of a space, the resolution first, then stage by stage."""
    if len(resolutions) > 1:
        yield Column(name="resolution", values=resolutions, field="resolution")
    for s, row in enumerate(stages):
        for field, values in row.options.items():
            if len(values) > 1 and field not in row.per_layer:
                yield Column(name=f"stage{s + 1}_{field}", values=values, field=field, stage=s)
        for layer in range(row.max_layers if row.per_layer else 0):
            for field in row.per_layer:
                name = f"stage{s + 1}_layer{layer + 1}_{field}"
                yield Column(
                    name=name, values=row.options[field], field=field, stage=s, layer=layer
                )


def coordinates(values: tuple[Value, ...]) -> NDArray[np.float64]:
    """Return the coordinates of the values of one choice, shape (values, coordinates).

    Numbers have one: their logarithm where all are positive, standardised, so that near values are
    near each other. Texts have one each.
    """
    if any(isinstance(value, str) for value in values):
        return np.eye(len(values))
    numbers = np.array(values, dtype=float)
    numbers = np.log(numbers) if numbers.min() > 0 else numbers
    placed: NDArray[np.float64] = (numbers - numbers.mean()) / numbers.std()
    return placed[:, None]
