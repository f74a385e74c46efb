"""The marginal likelihood of a Gaussian process with a length for each of its inputs."""

from collections.abc import Callable

import numpy as np

from nas.latency.measure.estimates import Floats

_ROOT = 5**0.5
_VARIANCE = 1e-12
_FAILED = 1e10


def negative_log_likelihood(
    inputs: Floats, values: Floats, *, around: float
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return a function of the logarithms of the lengths and, last, of the noise.

    It returns the negative logarithm of the likelihood of `values`, shape (n,), at `inputs`, shape
    (n, d), up to a constant, and its gradient (Rasmussen and Williams, 2006, section 5.4.1). The
    kernel is Matern 5/2 with the likeliest variance, of which the noise is a part. A priori a
    length is log-normal around `around`, with a deviation of 1.
    """
    values, count = values - values.mean(), len(values)

    def negative(point: Floats) -> tuple[float, Floats]:
        lengths, noise = point[:-1], float(np.exp(point[-1]))
        scaled = inputs * np.exp(-lengths)
        distance = _distances(scaled)
        decay = np.exp(-distance)
        matrix = (1 + distance + distance**2 / 3) * decay
        matrix[np.diag_indices(count)] += noise
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return _FAILED, np.zeros_like(point)
        half = np.linalg.inv(factor)
        inverse = half.T @ half
        weights = inverse @ values
        variance = max(float(values @ weights) / count, _VARIANCE)
        by_matrix = (inverse - np.outer(weights, weights) / variance) / 2
        pairs = by_matrix * (5 / 3) * (1 + distance) * decay
        apart = pairs.sum(axis=1) @ scaled**2 - (scaled * (pairs @ scaled)).sum(axis=0)
        away = lengths - np.log(around)
        value = count * np.log(variance) / 2 + np.log(np.diag(factor)).sum() + (away**2).sum() / 2
        return float(value), np.append(2 * apart + away, noise * np.trace(by_matrix))

    return negative


def _distances(points: Floats) -> Floats:
    """Return the distances of all pairs of points, times the root of 5."""
    squares = (points**2).sum(axis=1)
    apart = squares[:, None] + squares - 2 * points @ points.T
    return np.asarray(_ROOT * np.sqrt(np.maximum(apart, 0)))
