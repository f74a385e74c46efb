"""Turn repetitions into milliseconds with intervals.

Whatever disturbs a run makes it slower, never faster. So a repetition counts with its fastest run,
divided by how much slower or faster than usual the reference networks were around it, which removes
what changes slowly (the clock, the memory bandwidth that others use). Over the rounds the lower
quartile counts, with the interval of its order statistics, which assumes no distribution. On a
shared machine two measurements of the same networks agree better so than by medians.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.latency.measure.samples import Repetition

Floats = NDArray[np.float64]

COVERAGE = 0.9
_DEVIATIONS = 1.645
_SHARE = 0.25
_SMOOTHED = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The latency of a model: the lower quartile of `rounds` repetitions, and its 90 % interval."""

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

    `reference_ms` are the lower quartiles of the reference networks: the speed of the machine that
    all estimates are given for. `noise` is the median deviation of their repetitions from these, a
    fraction.
    """

    jobs: Mapping[int, Estimate]
    reference_ms: Mapping[int, float]
    noise: float


def estimate(repetitions: Sequence[Repetition], *, references: int) -> Estimates:
    """Return the estimates of all jobs but the references, which are the first jobs.

    Repetitions of a process that measured no reference are left out.
    """
    steady_ms = reference_ms(repetitions, references=references)
    drift = [
        repetition.ms / steady_ms[repetition.job]
        for repetition in repetitions
        if repetition.job < references
    ]
    if not drift:
        return Estimates(jobs={}, reference_ms={}, noise=0.0)
    steady = at_usual_speed(repetitions, references=references)
    return Estimates(
        jobs={job: _of(np.sort(values)) for job, values in steady.items()},
        reference_ms=steady_ms,
        noise=float(np.median(np.abs(np.array(drift) - 1))),
    )


def reference_ms(repetitions: Sequence[Repetition], *, references: int) -> Mapping[int, float]:
    """Return the usual milliseconds of every reference network that was measured."""
    found: dict[int, list[float]] = {}
    for repetition in repetitions:
        if repetition.job < references:
            found.setdefault(repetition.job, []).append(repetition.ms)
    return {job: lower_quartile(values) for job, values in sorted(found.items())}


def at_usual_speed(repetitions: Sequence[Repetition], *, references: int) -> Mapping[int, Floats]:
    """Return every other job's repetitions, in order, in milliseconds divided by the drift."""
    steady_ms = reference_ms(repetitions, references=references)
    found: dict[int, list[float]] = {}
    for begin in sorted({repetition.begin for repetition in repetitions}):
        own = [repetition for repetition in repetitions if repetition.begin == begin]
        known = [repetition for repetition in own if repetition.job < references]
        if not known:
            continue
        drift = _smooth(
            np.array([repetition.ms / steady_ms[repetition.job] for repetition in known])
        )
        others = [repetition for repetition in own if repetition.job >= references]
        around = np.interp([v.at for v in others], [v.at for v in known], drift)
        for repetition, value in zip(others, around, strict=True):
            found.setdefault(repetition.job, []).append(repetition.ms / float(value))
    return {job: np.array(values) for job, values in found.items()}


def speed(now: Mapping[str, float], then: Mapping[str, float]) -> float:
    """Return how much longer networks take `now` than `then`: the mean over those in both.

    Raises:
        NasError: if there are none.
    """
    shared = [name for name in now if name in then]
    if not shared:
        raise NasError(
            "no reference network of the table was measured now; the table is of another version "
            "of this program: measure it again"
        )
    return float(np.exp(np.mean([np.log(now[name] / then[name]) for name in shared])))


def lower_quartile(values: Sequence[float] | Floats) -> float:
    """Return the lower quartile of a series of repetitions."""
    return float(np.quantile(values, _SHARE))


def _smooth(values: Floats) -> Floats:
    """Return the running lower quartile of some neighbours."""
    padded = np.pad(values, _SMOOTHED // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED)
    return np.asarray(np.quantile(windows, _SHARE, axis=1))


def _of(values: Floats) -> Estimate:
    """Return the lower quartile of sorted values with the interval that their order gives."""
    last = len(values) - 1
    middle, half = _SHARE * last, _DEVIATIONS * sqrt(_SHARE * (1 - _SHARE) * len(values))
    return Estimate(
        ms=lower_quartile(values),
        low_ms=float(values[max(0, floor(middle - half))]),
        high_ms=float(values[min(last, ceil(middle + half))]),
        rounds=len(values),
    )


def quantile(sizes: Floats) -> float:
    """Return the size that a new case stays within in `COVERAGE` of all cases (conformal)."""
    place = min(len(sizes), ceil((len(sizes) + 1) * COVERAGE))
    return float(np.sort(sizes)[place - 1])
