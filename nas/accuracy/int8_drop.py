"""Predict how much accuracy a network loses in int8, from its activations.

The loss is a sum: the loss of networks of ReLU, plus terms for the fractions of activated channels
with hard-swish, with swish, and with squeeze-and-excitation. `experiments/int8_drop` fits it on
published and measured losses; they are few and vary much, as the standard deviation shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core import data
from nas.core.errors import BadValue
from nas.core.schema import SCHEMA, Fraction, Reader, Signed
from nas.network.blocks import Architecture
from nas.network.layers import Conv, Squeeze, Unit
from nas.network.lowering import lower

Floats = NDArray[np.float64]

KINDS = ("any", "hswish", "swish", "se")
"""The terms of a loss: one for any network, and fractions of activated channels."""

_PLACE_OF = {"hswish": 1, "hsigmoid": 1, "swish": 2, "sigmoid": 2}
MODEL = "int8_drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropModel:
    """Losses of top-1 after post-training quantization, fractions, for each of `KINDS`.

    `deviation` are the terms of the standard deviation of a network's loss, which add up alike.
    `swish` are the least and the largest loss of a network with swish that it was fitted on.
    """

    schema: int
    source: str
    note: str
    networks: int
    drop: Mapping[str, Fraction]
    deviation: Mapping[str, Fraction]
    swish: tuple[Signed, Signed]

    def __post_init__(self) -> None:
        """Reject a model that lacks a kind."""
        for name in ("drop", "deviation"):
            if getattr(self, name).keys() != set(KINDS):
                raise BadValue(f"must have {', '.join(KINDS)}", name)

    def __call__(self, channels: Floats) -> tuple[Floats, Floats]:
        """Return the losses of networks and their standard deviations, by sums of `channels_of`."""
        shares = shares_of(channels)
        found = ([getattr(self, name)[kind] for kind in KINDS] for name in ("drop", "deviation"))
        drop, deviation = (np.round(shares @ np.array(each), 6) for each in found)
        return drop, deviation

    @property
    def about_swish(self) -> str:
        """What to know about the losses of networks with swish."""
        least, most = (f"{100 * loss:g}" for loss in self.swish)
        return (
            f"networks with swish lost {least} to {most} points in int8, by network and quantizer, "
            "so the interval of one is wide; measure what you choose: nas quantize"
        )

    def of(self, arch: Architecture) -> tuple[float, float]:
        """Return the loss of one network, and its standard deviation."""
        drop, deviation = self(channels_of_network(arch)[None])
        return float(drop[0]), float(deviation[0])


def load_drop_model() -> DropModel:
    """Return the bundled model.

    Raises:
        BadFile: if its file is malformed.
    """
    path = data.find("accuracy model", MODEL, where="accuracy_models")
    read = Reader(path)
    found = read.record(data.read_mapping(path), DropModel)
    if found.schema != SCHEMA:
        raise read.fail(f"schema is {found.schema}; this version reads {SCHEMA}")
    return found


def channels_of(unit: Unit) -> tuple[Floats | float, ...]:
    """Return the activated channels of a unit by `KINDS`; arrays for many units at once."""
    sums: list[Floats | float] = [0.0] * len(KINDS)
    squeezed = any(isinstance(layer, Squeeze) for layer in unit.layers)
    for layer in unit.layers:
        if isinstance(layer, Conv) and layer.act != "none":
            smooth = [_PLACE_OF[layer.act]] if layer.act in _PLACE_OF else []
            for place in (0, *smooth, *([KINDS.index("se")] if squeezed else [])):
                sums[place] = sums[place] + layer.out_shape[0]
    return tuple(sums)


def channels_of_network(arch: Architecture) -> Floats:
    """Return the sums of `channels_of` over the units of a network."""
    rows = [[float(value) for value in channels_of(unit)] for unit in lower(arch)]
    return np.asarray(np.sum(rows, axis=0))


def shares_of(channels: Floats) -> Floats:
    """Return the fractions of `KINDS` in the sums of networks, shape (networks, kinds)."""
    return np.asarray(channels / np.maximum(channels[:, :1], 1.0))
