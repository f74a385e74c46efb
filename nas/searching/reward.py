"""MnasNet's reward: accuracy and latency in one number."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.core.rounding import significant

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """MnasNet's reward, accuracy * (latency / target) ** w (Tan et al., 2019, equation 2).

    `below` is the exponent w up to the target and `above` the one beyond it; -0.07 for both is the
    paper's soft constraint, 0 and -1 its hard one.
    """

    accuracy: str
    target: float
    latency: str = "latency_ms"
    below: float = -0.07
    above: float = -0.07

    def __post_init__(self) -> None:
        if not 0 < self.target < inf or not isfinite(self.below + self.above):
            raise NasError("a reward needs a target above 0 and finite exponents")

    def __call__(self, metrics: Mapping[str, Floats]) -> Floats:
        """Return the reward of every candidate, `significant` bits of it."""
        ratio = metrics[self.latency] / self.target
        exponent = np.where(ratio <= 1, self.below, self.above)
        return significant(metrics[self.accuracy] * ratio**exponent)
