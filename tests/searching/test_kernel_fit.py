"""Regressions updated with new trials equal a direct solution."""

import numpy as np
import pytest

from nas.searching.kernel_fit import Kernel, Solver

PICKS, LOGS, COUNT = 6, 2, 460


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(np.ones(PICKS), LOGS)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(COUNT, LOGS))
    return np.concatenate([rng.integers(0, 3, (COUNT, PICKS)), logs, logs**2], axis=1)


@pytest.fixture(scope="module")
def values(rows: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(rows).sum(axis=1), rows[:, 0] * rows[:, 1]], axis=1)


def _direct(kernel: Kernel, rows: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    mean, scale = values.mean(axis=0), values.std(axis=0)
    weights = np.linalg.solve(kernel(rows, rows) + 1e-3 * np.eye(len(rows)), values - mean)
    return kernel(at, rows) @ (weights / scale) * scale + mean


def test_kernel_of_a_pair_is_what_its_definition_says(kernel: Kernel, rows: np.ndarray) -> None:
    a, b = rows[0], rows[1]
    near = np.exp(-((a - b)[: PICKS + LOGS] ** 2).sum() / 2 / 8.0**2)
    linear = 0.1 * (a * b)[:PICKS].sum() + (a * b)[PICKS:].sum()
    assert kernel(rows[:1], rows[1:2])[0, 0] == pytest.approx(near + linear)


@pytest.mark.parametrize("steps", [(COUNT,), (1, 2, 15, 19, 40, 300, COUNT), (250, COUNT)])
def test_growing_equals_a_direct_solution(
    kernel: Kernel, rows: np.ndarray, values: np.ndarray, steps: tuple[int, ...]
) -> None:
    solver, numbers = Solver(kernel), np.arange(COUNT)
    for count in steps:
        fit = solver(numbers[:count], rows[:count], values[:count])
    at = rows + 0.1
    assert fit(at) == pytest.approx(_direct(kernel, rows, values, at), abs=1e-7)


def test_starts_over_where_the_oldest_are_dropped(
    kernel: Kernel, rows: np.ndarray, values: np.ndarray
) -> None:
    solver, numbers = Solver(kernel), np.arange(COUNT)
    solver(numbers[:300], rows[:300], values[:300])
    fit = solver(numbers[100:400], rows[100:400], values[100:400])
    direct = _direct(kernel, rows[100:400], values[100:400], rows)
    assert fit(rows) == pytest.approx(direct, abs=1e-7)


def test_errors_left_out_are_those_of_fits_to_the_others(
    kernel: Kernel, rows: np.ndarray, values: np.ndarray
) -> None:
    rows, values = rows[:40], values[:40]
    solver = Solver(kernel)
    found = solver.left_out_error(solver(np.arange(40), rows, values))
    targets = (values - values.mean(axis=0)) / values.std(axis=0)
    matrix, off = kernel(rows, rows) + 1e-3 * np.eye(40), []
    for i in range(40):
        others = np.delete(np.arange(40), i)
        weights = np.linalg.solve(matrix[np.ix_(others, others)], targets[others])
        off.append(targets[i] - matrix[i, others] @ weights)
    assert found == pytest.approx(np.mean(np.square(off)), rel=1e-6)
