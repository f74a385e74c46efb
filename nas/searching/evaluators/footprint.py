"""Megabytes of the weights, and of the activations at most, exact."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from nas.network.footprint import MB, peak_bytes, weight_bytes
from nas.network.layers import Unit
from nas.searching.problem import Candidates, Metrics
from nas.space.lookup import Lookup, SpaceUnits
from nas.space.space import Space


@dataclass(frozen=True, slots=True)
class Footprint:
    """Looks up what a space's architectures take on a device."""

    sizes: Lookup
    peaks: Lookup
    dtype: str
    provides: tuple[str, ...] = ("size_mb", "peak_mb")
    seconds: float = 0.0

    @property
    def note(self) -> str:
        """What the megabytes are of."""
        return f"size_mb, peak_mb: of weights, of activations at most, in {self.dtype}"

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return size_mb and peak_mb of every candidate."""
        return {
            "size_mb": np.round(self.sizes(candidates.picks)[:, 0] / MB, 6),
            "peak_mb": np.round(self.peaks(candidates.picks)[:, 0] / MB, 6),
        }

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the numbers are exact."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"footprint {self.dtype}"


def _size(unit: Unit, dtype: str) -> tuple[float, ...]:
    return (weight_bytes(unit, dtype),)


def _peak(unit: Unit, dtype: str) -> tuple[float, ...]:
    return (peak_bytes(unit, dtype),)


def create(space: Space, *, dtype: str = "fp32", units: SpaceUnits | None = None) -> Footprint:
    """Return the evaluator for one space, whose `units` may be at hand.

    The `dtype` of weights and activations is fp32 or int8.
    """
    units = units or SpaceUnits(space)
    return Footprint(
        Lookup(space, partial(_size, dtype=dtype), units=units),
        Lookup(space, partial(_peak, dtype=dtype), largest=True, units=units),
        dtype,
    )
