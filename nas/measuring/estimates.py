"""Turn visits into milliseconds with intervals: divide by the reference, take the median.

A visit is worth its fastest run, since whatever disturbs a run makes it slower. It is divided by
what the reference network took around it, which takes out what changes slowly: the clock, the
memory bandwidth that others use. Over the rounds the median counts, with the interval that its
neighbours in order give, whatever the noise looks like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

from nas.measuring.samples import Visit

Floats = NDArray[np.float64]

COVERAGE = 0.9
_DEVIATIONS = 1.645
_SMOOTHED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The latency of one model: the median over `rounds` visits, and its 90 % interval."""

    ms: float
    low_ms: float
    high_ms: float
    rounds: int

    @property
    def width(self) -> float:
        """Half of the interval, as a fraction of `ms`."""
        return (self.high_ms - self.low_ms) / 2 / self.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """The estimates of a measurement by the number of the job.

    `reference_ms` is the median of the reference network over all its visits: the speed of the
    machine that all estimates are given for. `noise` is the median deviation of its visits from
    that, a fraction; `disturbed` the share of visits whose runs disagreed by more than a tenth.
    """

    jobs: Mapping[int, Estimate]
    reference_ms: float
    noise: float
    disturbed: float


_DISTURBED = 1.1


def estimate(visits: Sequence[Visit]) -> Estimates:
    """Return what `visits` say of every job but the reference, which is job 0.

    Every process that measured must have visited the reference; visits of one that did not are
    left out.
    """
    reference = [visit for visit in visits if visit.job == 0]
    if not reference:
        return Estimates(jobs={}, reference_ms=0.0, noise=0.0, disturbed=0.0)
    times = np.array([visit.ms for visit in reference])
    middle = float(np.median(times))
    ratios = relative(visits)
    return Estimates(
        jobs={job: _of(np.sort(values) * middle) for job, values in ratios.items()},
        reference_ms=middle,
        noise=float(np.median(np.abs(times / middle - 1))),
        disturbed=float(np.mean([v.median_ms > _DISTURBED * v.ms for v in visits])),
    )


def relative(visits: Sequence[Visit]) -> Mapping[int, Floats]:
    """Return every job's visits, in order, as multiples of the reference around them."""
    found: dict[int, list[float]] = {}
    for begin in sorted({visit.begin for visit in visits}):
        own = [visit for visit in visits if visit.begin == begin]
        reference = [visit for visit in own if visit.job == 0]
        if not reference:
            continue
        at = np.array([visit.at for visit in reference])
        ms = _smooth(np.array([visit.ms for visit in reference]))
        others = [visit for visit in own if visit.job]
        around = np.interp([visit.at for visit in others], at, ms)
        for visit, value in zip(others, around, strict=True):
            found.setdefault(visit.job, []).append(visit.ms / float(value))
    return {job: np.array(values) for job, values in found.items()}


def _smooth(values: Floats) -> Floats:
    """Return the running median of a few neighbours."""
    padded = np.pad(values, _SMOOTHED // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED)
    return np.asarray(np.median(windows, axis=1))


def _of(values: Floats) -> Estimate:
    """Return the median of sorted values with the interval that their order gives."""
    count = len(values)
    low = max(0, floor((count - _DEVIATIONS * sqrt(count)) / 2))
    return Estimate(
        ms=float(np.median(values)),
        low_ms=float(values[low]),
        high_ms=float(values[count - 1 - low]),
        rounds=count,
    )


def quantile(sizes: Floats) -> float:
    """Return the size that a new case stays within in `COVERAGE` of all cases (conformal)."""
    place = min(len(sizes), ceil((len(sizes) + 1) * COVERAGE))
    return float(np.sort(sizes)[place - 1])
