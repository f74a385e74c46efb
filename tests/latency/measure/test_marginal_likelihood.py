"""The marginal likelihood: its value by the normal density, its gradient by differences."""

import numpy as np
import pytest

from nas.latency.measure.marginal_likelihood import negative_log_likelihood
from nas.latency.residual import matern

AROUND = 1.5


def _sample(count: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Return points, and values that depend on the first of three coordinates."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(count, 3))
    return inputs, np.sin(2 * inputs[:, 0]) + 0.05 * rng.normal(size=count)


def _prior(point: np.ndarray) -> float:
    return float(((point[:-1] - np.log(AROUND)) ** 2).sum() / 2)


def test_differences_are_those_of_the_normal_density_at_the_likeliest_variance() -> None:
    from scipy.stats import multivariate_normal

    inputs, values = _sample()
    negative = negative_log_likelihood(inputs, values, around=AROUND)
    centred = values - values.mean()

    def of_density(point: np.ndarray) -> float:
        scaled, noise = inputs / np.exp(point[:-1]), np.exp(point[-1])
        matrix = matern(scaled, scaled) + noise * np.eye(len(inputs))
        variance = centred @ np.linalg.solve(matrix, centred) / len(inputs)
        density = multivariate_normal(np.zeros(len(inputs)), variance * matrix)
        return _prior(point) - float(density.logpdf(centred))

    points = [np.log([0.5, 2.0, 3.0, 0.1]), np.log([2.0, 1.0, 1.0, 0.01])]
    one, other = (negative(point)[0] - of_density(point) for point in points)
    assert one == pytest.approx(other, abs=1e-6)


def test_the_gradient_is_that_of_differences() -> None:
    negative = negative_log_likelihood(*_sample(), around=AROUND)
    point, step = np.log([0.7, 2.0, 4.0, 0.05]), 1e-5
    found = negative(point)[1]
    for i in range(4):
        move = step * np.eye(4)[i]
        slope = (negative(point + move)[0] - negative(point - move)[0]) / (2 * step)
        assert found[i] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_a_matrix_that_is_not_positive_is_unlikely() -> None:
    inputs = np.zeros((4, 1))  # all alike
    negative = negative_log_likelihood(inputs, np.arange(4.0), around=AROUND)
    value, gradient = negative(np.array([0.0, -80.0]))
    assert value >= 1e9
    assert not gradient.any()
