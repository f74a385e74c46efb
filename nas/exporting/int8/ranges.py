"""Choose the range in which a value is written as bytes, from a histogram of what it was.

A wider range rounds more, a narrower one cuts more off. Five ways to choose: "minmax" cuts nothing;
"average" takes the mean over images of the least and the largest value, so that odd images count
little (as the moving averages of Jacob et al., 2018, section 3.1);
"percentile" cuts a ten-thousandth at each end; "mse" takes the least mean squared error of the
values as bytes (as in Nagel et al., 2021, section 3.1); "kl" the least divergence of the
distribution of bytes from that of the values (Migacz, 2017).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError, unknown

BINS = 2048
STEPS = 255
"""A byte has so many steps above the least."""
SIGN = 128
"""What is taken from a byte without a sign to have it with one."""
CUT = 3.0
"""Where hard sigmoids end, and minus that where they begin."""
_PERCENTILE = 1e-4
_SHARES = np.linspace(0.3, 1.0, 36)
"""How much of the whole range is tried."""
_MIN_WIDTH = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class IOTypes:
    """Whether the input and the output of an int8 graph are bytes, too, instead of floats."""

    input: bool = False
    output: bool = False


FLOAT_IO = IOTypes()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """How often a value lay in each of `BINS` equal parts of `low` to `high`, which hold 0.

    `usual` are the means over images of the least and the largest, where they are known.
    """

    low: float
    high: float
    counts: Floats
    usual: tuple[float, float] | None = None

    @property
    def centres(self) -> Floats:
        """The middle of each part."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationGrid:
    """Bytes without a sign for a range: a byte b stands for `scale` * (b - `zero_point`)."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> "QuantizationGrid":
        """Return the grid of a range, widened to hold 0, which has a byte of its own."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max(high - low, _MIN_WIDTH) / STEPS
        return cls(scale=scale, zero_point=int(np.clip(round(-low / scale), 0, STEPS)))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value that a byte stands for."""
        return -self.zero_point * self.scale, (STEPS - self.zero_point) * self.scale

    def rounded(self, values: Floats) -> Floats:
        """Return `values` as the bytes have them."""
        steps = np.clip(np.rint(values / self.scale) + self.zero_point, 0, STEPS)
        return np.asarray(self.scale * (steps - self.zero_point))


def for_hard(grid: QuantizationGrid) -> QuantizationGrid:
    """Return a grid that is as wide as `grid`, reaches -3 and 3, and has a byte for both."""
    low, high = grid.range
    low, high = min(low, -CUT), max(high, CUT)
    parts = max(int(STEPS * CUT / (high - low)), 1)
    scale = CUT / parts
    return QuantizationGrid(
        scale=scale, zero_point=int(np.clip(np.ceil(-low / scale), parts, STEPS - parts))
    )


def grid_of(histogram: Histogram, *, by: str) -> QuantizationGrid:
    """Return the grid for a value, chosen by one of `METHODS`.

    Raises:
        UnknownName: if there is no such way.
        NasError: if the values are not finite.
    """
    if by not in METHODS:
        raise unknown("calibration", by, METHODS)
    if not np.isfinite([histogram.low, histogram.high]).all():
        raise NasError(f"values from {histogram.low:g} to {histogram.high:g} have no range")
    return METHODS[by](histogram)


def _minmax(histogram: Histogram) -> QuantizationGrid:
    return QuantizationGrid.of(histogram.low, histogram.high)


def _average(histogram: Histogram) -> QuantizationGrid:
    return QuantizationGrid.of(*(histogram.usual or (histogram.low, histogram.high)))


def _percentile(histogram: Histogram) -> QuantizationGrid:
    total = np.cumsum(histogram.counts)
    if not total[-1]:
        return _minmax(histogram)
    edges = np.linspace(histogram.low, histogram.high, len(total) + 1)
    below = edges[np.searchsorted(total, _PERCENTILE * total[-1], side="right")]
    above = edges[np.searchsorted(total, (1 - _PERCENTILE) * total[-1]) + 1]
    return QuantizationGrid.of(float(below), float(above))


def _mse(histogram: Histogram) -> QuantizationGrid:
    values = histogram.centres

    def error(grid: QuantizationGrid) -> float:
        return float(histogram.counts @ (grid.rounded(values) - values) ** 2)

    return min(_tried(histogram), key=error)


def _kl(histogram: Histogram) -> QuantizationGrid:
    values, counts = histogram.centres, histogram.counts
    total = counts.sum()
    if not total:
        return _minmax(histogram)

    def divergence(grid: QuantizationGrid) -> float:
        """Sum over parts of p log(p / q), q being what is left when values are bytes."""
        steps = np.rint(grid.rounded(values) / grid.scale).astype(np.int64) + grid.zero_point
        per_step = np.bincount(steps, counts, minlength=STEPS + 1)
        parts = np.bincount(steps, counts > 0, minlength=STEPS + 1)
        low, high = grid.range
        inside = (values >= low - grid.scale / 2) & (values <= high + grid.scale / 2)
        spread = np.where(inside & (counts > 0), per_step[steps] / np.maximum(parts[steps], 1), 0.0)
        p, q = counts / total, (spread + 1e-9 * total) / (spread.sum() + 1e-9 * total * len(spread))
        some = p > 0
        return float((p[some] * np.log(p[some] / q[some])).sum())

    return min(_tried(histogram), key=divergence)


def _tried(histogram: Histogram) -> list[QuantizationGrid]:
    """Return grids of narrower and narrower ranges; each end is cut alike, as far as it reaches."""
    reach = max(-histogram.low, histogram.high)
    tried = (share * reach for share in _SHARES)
    return [QuantizationGrid.of(max(histogram.low, -at), min(histogram.high, at)) for at in tried]


METHODS: Mapping[str, Callable[[Histogram], QuantizationGrid]] = {
    "minmax": _minmax,
    "average": _average,
    "percentile": _percentile,
    "mse": _mse,
    "kl": _kl,
}
"""How a range may be chosen, by name."""
