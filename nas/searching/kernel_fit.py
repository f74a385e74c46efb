"""The kernel of `kernel_model`, and its regressions, which grow with the trials."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.core.rounding import significant
from nas.searching.problem import Floats

_LINEAR_PICKS, _LINEAR_LOGS = 0.1, 1.0
"""Weights of picks and of the logarithms of free metrics (with squares) in the linear part."""
_SMOOTH_LOGS = 1.0
"""Weight of the logarithms beside the picks in the squared distance of the smooth part."""
_LENGTH = 8.0
_NOISE = 1e-3
_BLOCK = 200
"""So many trials are added at once, which is fastest."""

Numbers = NDArray[np.int64]


class Kernel:
    """A linear kernel plus a Gaussian one, on coordinates."""

    def __init__(self, picks: Floats, logs: int) -> None:
        """Weigh the coordinates of picks, logarithms and squares; the last are linear alone.

        `picks` are factors of the squares of their coordinates.
        """
        self._linear = np.concatenate([_LINEAR_PICKS * picks, np.full(2 * logs, _LINEAR_LOGS)])
        self._smooth = np.concatenate([picks, np.full(logs, _SMOOTH_LOGS)]) / _LENGTH**2

    def __call__(self, some: Floats, others: Floats) -> Floats:
        """Return the kernel of all pairs, shape (len(some), len(others))."""
        result: Floats = self.gaussian(some, self.smooth(others))
        result += self.linear(some, others.T)
        return result

    def smooth(self, others: Floats) -> Floats:
        """Return what `gaussian` needs of `others`, shape (coordinates + 2, len(others))."""
        others = others[:, : len(self._smooth)]
        halves = -((others * others) @ self._smooth) / 2
        return np.concatenate([others.T, halves[None], np.ones((1, len(others)))])

    def gaussian(self, some: Floats, smooth: Floats) -> Floats:
        """Return the Gaussian part of all pairs; `smooth` is that of the others."""
        some = some[:, : len(self._smooth)]
        weighted = some * self._smooth
        halves = -(weighted * some).sum(axis=1) / 2
        one = np.ones((len(some), 1))
        exponents: Floats = np.concatenate([weighted, one, halves[:, None]], axis=1) @ smooth
        return np.exp(exponents, out=exponents)

    def linear(self, some: Floats, columns: Floats) -> Floats:
        """Return the weighted coordinates of `some` times `columns`."""
        result: Floats = (some * self._linear) @ columns
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What is fitted to some metrics of the same trials: a column of weights for each."""

    kernel: Kernel
    smooth: Floats
    weights: Floats
    linear: Floats
    mean: Floats
    scale: Floats

    def __call__(self, places: Floats) -> Floats:
        """Return the metrics at `places`, shape (len(places), metrics), to `significant` bits."""
        worth = self.kernel.gaussian(places, self.smooth) @ self.weights
        worth += self.kernel.linear(places, self.linear)
        return significant(worth * self.scale + self.mean)


class Solver:
    """Fits regressions to trials, of which there are more from fit to fit.

    It keeps the inverse of the Cholesky factor of the kernel matrix, to which new trials add rows:
    that takes the time of two products by a matrix of as many columns. Residuals are as small as
    those of a direct solution.
    """

    def __init__(self, kernel: Kernel) -> None:
        """Start without trials."""
        self._kernel = kernel
        self._numbers: Numbers = np.zeros(0, dtype=np.int64)
        self._inverse: Floats = np.zeros((0, 0))

    def __call__(self, numbers: Numbers, rows: Floats, values: Floats) -> Fit:
        """Return the fit to `values` of trials at `rows`, shape (trials, coordinates).

        `numbers` are those of the trials; the factor starts anew where others came first before.
        """
        if not np.array_equal(self._numbers, numbers[: len(self._numbers)]):
            self._numbers = self._numbers[:0]
        while len(self._numbers) < len(numbers):
            self._add(numbers, rows, min(len(numbers), len(self._numbers) + _BLOCK))
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale[scale == 0] = 1.0
        weights = self._solve((values - mean) / scale)
        return Fit(
            kernel=self._kernel,
            smooth=self._kernel.smooth(rows),
            weights=weights,
            linear=rows.T @ weights,
            mean=mean,
            scale=scale,
        )

    def left_out_error(self, fit: Fit) -> float:
        """Return the mean square of what its latest `fit` is off by on each trial without it.

        It is in units of the fit's `scale`.
        """
        used = self._inverse[: len(self._numbers), : len(self._numbers)]
        off = fit.weights / np.einsum("ij,ij->j", used, used)[:, None]
        return float((off**2).mean())

    def _add(self, numbers: Numbers, rows: Floats, stop: int) -> None:
        """Add the rows of the trials up to `stop` to the factor."""
        start = len(self._numbers)
        if stop > len(self._inverse):
            self._inverse = _enlarged(self._inverse, start, stop)
        old, new = slice(0, start), slice(start, stop)
        inverse = self._inverse[old, old]
        among = self._kernel(rows[new], rows[:stop])
        among[np.arange(stop - start), np.arange(start, stop)] += _NOISE
        side = among[:, old] @ inverse.T
        corner = np.linalg.inv(np.linalg.cholesky(among[:, new] - side @ side.T))
        self._inverse[new, old] = -corner @ (side @ inverse)
        self._inverse[new, new], self._inverse[old, new] = corner, 0.0
        self._numbers = numbers[:stop]

    def _solve(self, values: Floats) -> Floats:
        """Return the solution of the kernel matrix times weights = `values`."""
        count = len(self._numbers)
        inverse = self._inverse[:count, :count]
        weights: Floats = inverse.T @ (inverse @ values)
        return weights


def _enlarged(matrix: Floats, used: int, least: int) -> Floats:
    """Return a matrix of at least `least` rows and columns with the `used` ones of `matrix`."""
    size = max(least, 3 * len(matrix) // 2)
    result = np.empty((size, size))
    result[:used, :used] = matrix[:used, :used]
    return result
