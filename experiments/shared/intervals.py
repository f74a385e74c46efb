"""Confidence intervals of means of a few values, by Student's t."""

from collections.abc import Sequence
from math import sqrt
from statistics import stdev

from scipy.stats import t


def quantiles(freedom: int) -> tuple[float, float]:
    """Return the quantiles for a two-sided level of 5 %, and for a power of 80 %."""
    return float(t.ppf(0.975, freedom)), float(t.ppf(0.8, freedom))


def half_interval(gaps: Sequence[float]) -> float:
    """Return half of the 95 % interval of the mean of `gaps`."""
    return quantiles(len(gaps) - 1)[0] * _error(gaps)


def detectable(gaps: Sequence[float]) -> float:
    """Return the mean that such `gaps` detect with a power of 80 % at a level of 5 %."""
    level, power = quantiles(len(gaps) - 1)
    return level * _error(gaps) + power * _error(gaps)


def _error(gaps: Sequence[float]) -> float:
    return stdev(gaps) / sqrt(len(gaps))
