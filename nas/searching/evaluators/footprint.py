"""Megabytes of the weights, and of the activations at most, exact."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from nas.network.blocks import Architecture
from nas.network.footprint import MB, peak_bytes, peak_mb, weight_bytes
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.searching.problem import Candidates, Floats, Metrics
from nas.space.heads import Detectors
from nas.space.lookup import Lookup, SpaceUnits
from nas.space.space import Matrix, Space
from nas.space.with_heads import HeadLookup


class DetectorPeaks:
    """The most bytes of activations at once, of detectors: of each as a whole, and remembered.

    What a head reads later takes memory while the units between are computed, so that the number
    is no maximum over units.
    """

    def __init__(self, detectors: Detectors, dtype: str) -> None:
        """Count in bytes of `dtype`."""
        self._detectors, self._dtype = detectors, dtype
        self._known: dict[bytes, float] = {}

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the bytes of every row, shape (rows, 1)."""
        return np.array([[self._of(row)] for row in matrix]).reshape(-1, 1)

    def _of(self, row: Matrix) -> float:
        key = row.tobytes()
        if key not in self._known:
            detector = self._detectors.bodies.detector(row)
            self._known[key] = MB * peak_mb(detector, self._dtype)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Looks up what a space's architectures take on a device."""

    sizes: Lookup | HeadLookup
    peaks: Lookup | DetectorPeaks
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


def _whole(dtype: str, detector: Architecture) -> tuple[float, ...]:
    return (float(sum(weight_bytes(unit, dtype) for unit in lower(detector))),)


def _size(unit: Unit, dtype: str) -> tuple[float, ...]:
    return (weight_bytes(unit, dtype),)


def _peak(unit: Unit, dtype: str) -> tuple[float, ...]:
    return (peak_bytes(unit, dtype),)


def create(
    space: Space,
    *,
    dtype: str = "fp32",
    units: SpaceUnits | None = None,
    detectors: Detectors | None = None,
) -> Footprint:
    """Return the evaluator for one space, whose `units` may be at hand, or for its `detectors`.

    The `dtype` of weights and activations is fp32 or int8.
    """
    size = partial(_size, dtype=dtype)
    if detectors:
        sizes = HeadLookup(detectors.bodies, size, partial(_whole, dtype))
        return Footprint(sizes, DetectorPeaks(detectors, dtype), dtype)
    units = units or SpaceUnits(space)
    return Footprint(
        Lookup(space, size, units=units),
        Lookup(space, partial(_peak, dtype=dtype), largest=True, units=units),
        dtype,
    )
