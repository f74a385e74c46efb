"""What a linear model of counts leaves of a unit's latency: a Gaussian process over its shape.

Runtimes have faster and slower kernels for some shapes, which no sum over counts can say. Where
units alike were measured the process tells how far the linear model is off; far from all of them it
says nothing, so that the linear model extrapolates alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import log, prod
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import BadValue, unknown
from nas.core.schema import Range
from nas.network.cost import cost_of
from nas.network.layers import Unit

Floats = NDArray[np.float64]
Bounded = Annotated[float, Range(-1e9, 1e9)]
Scale = Annotated[float, Range(1e-9, 1e9)]
Row = tuple[Bounded, ...]
"""Numbers whose squares and products do not overflow."""

_SIZES = (
    *("macs", "params", "in_elements", "out_elements", "side"),
    *("in_channels", "out_channels", "hidden_channels"),
)
_ALIGNED = ("in_aligned", "out_aligned", "hidden_aligned")
_ACTS, _KINDS = ("relu", "relu6", "hswish", "swish"), ("conv", "mbconv", "separable", "linear")
FEATURES = (*_SIZES, *_ALIGNED, "kernel", "stride", "squeezed", "shortcut", *_ACTS, *_KINDS)
"""The features of a unit, in the order of `features`."""

_MAX_ALIGNED = 16
_LARGEST = 3.0
"""The factor lies between exp(-3) and exp(3): some kernels are an order of magnitude slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """The mean of a Gaussian process: log(measured over linear latency), at most 3 either way.

    Its inputs are the `features` of a unit by `names`, less `means`, over `scales`. It is `offset`
    plus the Matern 5/2 kernels of the inducing inputs `points` (Rasmussen and Williams, 2006,
    sections 4.2 and 8.3), times `weights`.
    """

    names: tuple[str, ...]
    means: Row
    scales: tuple[Scale, ...]
    offset: Bounded
    points: tuple[Row, ...]
    weights: Row

    def __post_init__(self) -> None:
        for name in set(self.names) - set(FEATURES):
            raise BadValue(str(unknown("feature", name, FEATURES)), "names")
        width = len(self.names)
        if not width:
            raise BadValue("must name a feature or more", "names")
        if not len(self.means) == len(self.scales) == width or 0 in self.scales:
            raise BadValue("means and scales must have a number for each of names, not 0", "scales")
        if any(len(point) != width for point in self.points):
            raise BadValue(f"each point must have {width} numbers", "points")
        if len(self.weights) != len(self.points):
            raise BadValue(f"must have {len(self.points)} numbers, as points", "weights")

    def factor(self, rows: ArrayLike) -> Floats:
        """Return measured over linear latency of units; the last axis has their `features`."""
        columns, means, scales, points, weights = _arrays(self)
        kernels = matern((np.asarray(rows)[..., columns] - means) / scales, points)
        logarithm = self.offset + kernels @ weights
        return np.asarray(np.exp(np.clip(logarithm, -_LARGEST, _LARGEST)))


@lru_cache(maxsize=8)
def _arrays(residual: Residual) -> tuple[list[int], Floats, Floats, Floats, Floats]:
    points = np.reshape(residual.points, (-1, len(residual.names)))
    columns = [FEATURES.index(name) for name in residual.names]
    parts = (residual.means, residual.scales, points, residual.weights)
    means, scales, inducing, weights = map(np.array, parts)
    return columns, means, scales, inducing, weights


def features(unit: Unit) -> Floats:
    """Return the features of a unit, shape (len(FEATURES),), with more axes for units of arrays.

    They are logarithms of sizes; the power of two that divides each number of channels, as a
    logarithm, 1 for 16 and more; the kernel and the stride; and indicators of
    squeeze-and-excitation, a shortcut, activations and kinds.
    """
    cost, block = cost_of(unit), unit.block
    channels = (block.in_channels, block.out_channels, block.hidden_channels)
    sizes = (cost.macs + 1, cost.params + 1, prod(unit.in_shape), prod(unit.out_shape))
    values: list[ArrayLike] = [
        *map(np.log, (*sizes, unit.in_shape[1])),
        *(np.log(np.maximum(count, 1)) for count in channels),
        *map(_aligned, channels),
        block.kernel,
        block.stride,
        np.asarray(block.se_channels) > 0,
        unit.shortcut != "none",
        *(block.act == act for act in _ACTS),
        *(block.kind == kind for kind in _KINDS),
    ]
    return np.stack(np.broadcast_arrays(*(np.asarray(v, float) for v in values)), axis=-1)


def _aligned(count: ArrayLike) -> Floats:
    """Return the logarithm of the power of two that divides a number, over that of 16."""
    whole = np.asarray(count)
    power = np.clip(whole & -whole, 1, _MAX_ALIGNED)
    return np.asarray(np.log(power) / log(_MAX_ALIGNED))


def matern(inputs: Floats, points: Floats) -> Floats:
    """Return the Matern 5/2 kernel of inputs (..., d) and points (m, d), shape (..., m)."""
    products = -2 * inputs @ points.T
    squared = (inputs**2).sum(axis=-1)[..., None] + (points**2).sum(axis=-1) + products
    distance = np.sqrt(5 * np.maximum(squared, 0))
    return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))
