"""The fit of the residual: it follows smooth functions of the counts, and ignores noise."""

import numpy as np
import pytest

from nas.latency.measure.residual_fit import choose_kernel, fit_residual

NAMES = ("conv_macs", "layers", "hswish")


def _rows(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.exp(rng.uniform(2, 9, (count, 3)))
    rows[:, 2] = 0.0  # a count that no unit has
    return rows


def _truth(rows: np.ndarray) -> np.ndarray:
    logs = np.log1p(rows)
    return np.asarray(0.3 * np.sin(logs[:, 0]) + 0.05 * logs[:, 1])


def test_what_is_smooth_in_the_counts_is_found() -> None:
    rows, new = _rows(0, 300), _rows(1, 50)
    residual = fit_residual(NAMES, rows, _truth(rows), choose_kernel(rows, _truth(rows)))
    assert residual.names == NAMES[:2]
    found = np.log(residual.factor(dict(zip(NAMES, new.T, strict=True))))
    assert np.abs(found - _truth(new)).mean() < 0.01 < _truth(new).std() / 10


def test_noise_alone_is_mostly_left_out() -> None:
    rows = _rows(0, 200)
    noise = np.random.default_rng(2).normal(0, 0.2, 200)
    kernel = choose_kernel(rows, noise)
    assert kernel.noise >= 0.2
    found = np.log(
        fit_residual(NAMES, rows, noise, kernel).factor(dict(zip(NAMES, rows.T, strict=True)))
    )
    assert found.std() < 0.5 * noise.std()


def test_units_that_are_all_alike_give_their_mean() -> None:
    rows = np.repeat(_rows(0, 2), 40, axis=0)
    wanted = np.repeat([0.2, -0.1], 40)
    residual = fit_residual(NAMES, rows, wanted, choose_kernel(rows, wanted))
    assert len(residual.points) == 2
    found = np.log(residual.factor(dict(zip(NAMES, rows[[0, -1]].T, strict=True))))
    assert found == pytest.approx([0.2, -0.1], abs=0.01)
