"""Measure the noise of a machine: how much the time of the same small piece of work varies."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.core.blas import one_blas_thread

QUIET, NOISY, RARE = 0.03, 0.15, 1.0
"""Up to the first, a machine is quiet; above the second, or if 1 run in 20 takes twice, noisy."""
_SIDE = 192
_MIN_RUNS = 20
_STAT = Path("/proc/stat")
_STEAL = 8
"""The index of the stolen time in a processor's line of numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Relative excess of the same work over its fastest run: of the median, and of 1 run in 20.

    `stolen` is the fraction of time that other virtual machines took, None if the system does not
    report it; `load` is the number of runnable processes per core, averaged over the last minute.
    """

    runs: int
    typical: float
    rare: float
    stolen: float | None
    load: float | None

    @property
    def verdict(self) -> str:
        """A few words on whether times measured here can be trusted."""
        if self.typical > NOISY or self.rare > RARE:
            return "noisy: stop other programs before measuring"
        return "quiet" if self.typical <= QUIET else "some noise: measure with more rounds"


@one_blas_thread()
def measure_noise(*, seconds: float = 1.0) -> Noise:
    """Return how much the time of a matrix product of 192 rows varies during `seconds`."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, _SIDE, _SIDE))
    for _ in range(_MIN_RUNS):  # warm-up: the clock rises, and caches fill
        left @ right
    before, end = _ticks(), time.perf_counter() + seconds
    times: list[float] = []
    while time.perf_counter() < end or len(times) < _MIN_RUNS:
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    after = _ticks()
    ratio = np.array(times) / min(times) - 1
    return Noise(
        runs=len(times),
        typical=float(np.median(ratio)),
        rare=float(np.quantile(ratio, 0.95)),
        stolen=_share(before, after),
        load=_load(),
    )


def _ticks() -> tuple[int, ...]:
    """Return the time that all cores spent in each state; empty if unknown."""
    try:
        words = _STAT.read_text(encoding="ascii").partition("\n")[0].split()
        return tuple(int(word) for word in words[1:])
    except (OSError, ValueError):
        return ()


def _share(before: tuple[int, ...], after: tuple[int, ...]) -> float | None:
    if len(before) < _STEAL or sum(after) <= sum(before):
        return None
    spent = sum(after[:_STEAL]) - sum(before[:_STEAL])  # guest time is included
    return (after[_STEAL - 1] - before[_STEAL - 1]) / spent if spent else None


def _load() -> float | None:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows
        return None
