"""What a linear model of counts leaves of a unit's latency: a Gaussian process on its logarithm.

Runtimes have faster and slower kernels for some shapes, which no sum over counts can say. Where
units alike were measured the process tells how far the linear model is off; far from all of them it
says nothing, so that the linear model extrapolates alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import BadValue
from nas.core.schema import Signed

Floats = NDArray[np.float64]
Row = tuple[Signed, ...]

_LARGEST = 1.5
"""The factor lies between exp(-1.5) and exp(1.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """The mean of a Gaussian process: log(measured over linear latency), at most 1.5 either way.

    Its inputs are log(1 + count) of the counts `names`, less `means`, over `scales`. It is `offset`
    plus the Matern 5/2 kernels of the inducing inputs `points` (Rasmussen and Williams, 2006,
    sections 4.2 and 8.3), times `weights`.
    """

    names: tuple[str, ...]
    means: Row
    scales: Row
    offset: Signed
    points: tuple[Row, ...]
    weights: Row

    def __post_init__(self) -> None:
        width = len(self.names)
        if not len(self.means) == len(self.scales) == width or 0 in self.scales:
            raise BadValue("means and scales must have a number for each of names, not 0", "scales")
        if any(len(point) != width for point in self.points):
            raise BadValue(f"each point must have {width} numbers", "points")
        if len(self.weights) != len(self.points):
            raise BadValue(f"must have {len(self.points)} numbers, as points", "weights")

    def factor(self, counts: Mapping[str, ArrayLike]) -> Floats:
        """Return measured over linear latency; `counts` are those of a unit, or arrays of many."""
        inputs = np.stack(
            np.broadcast_arrays(*(np.asarray(counts.get(name, 0), float) for name in self.names)),
            axis=-1,
        )
        means, scales, points, weights = _arrays(self)
        kernels = matern((np.log1p(inputs) - means) / scales, points)
        logarithm = self.offset + kernels @ weights
        return np.asarray(np.exp(np.clip(logarithm, -_LARGEST, _LARGEST)))


@lru_cache(maxsize=8)
def _arrays(residual: Residual) -> tuple[Floats, Floats, Floats, Floats]:
    points = np.reshape(residual.points, (-1, len(residual.names)))
    return np.array(residual.means), np.array(residual.scales), points, np.array(residual.weights)


def matern(inputs: Floats, points: Floats) -> Floats:
    """Return the Matern 5/2 kernel of inputs (..., d) and points (m, d), shape (..., m)."""
    products = -2 * inputs @ points.T
    squared = (inputs**2).sum(axis=-1)[..., None] + (points**2).sum(axis=-1) + products
    distance = np.sqrt(5 * np.maximum(squared, 0))
    return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))
