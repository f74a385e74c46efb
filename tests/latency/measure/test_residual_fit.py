"""The fit of the residual: it follows smooth functions of the counts, and ignores noise."""

import numpy as np
import pytest

from nas.latency.measure import residual_fit
from nas.latency.measure.residual_fit import choose_kernel, fit_residual
from nas.latency.residual import FEATURES


def _rows(seed: int, count: int) -> np.ndarray:
    """Return rows of features of which all but two are 0."""
    rows = np.zeros((count, len(FEATURES)))
    rows[:, :2] = np.random.default_rng(seed).uniform(2, 9, (count, 2))
    return rows


def _truth(rows: np.ndarray) -> np.ndarray:
    return np.asarray(0.3 * np.sin(rows[:, 0]) + 0.05 * rows[:, 1])


def test_what_is_smooth_in_the_features_is_found() -> None:
    rows, new = _rows(0, 300), _rows(1, 50)
    residual = fit_residual(rows, _truth(rows), choose_kernel(rows, _truth(rows)))
    assert residual.names == FEATURES[:2]
    found = np.log(residual.factor(new))
    assert np.abs(found - _truth(new)).mean() < 0.01 < _truth(new).std() / 10


def test_noise_alone_is_mostly_left_out() -> None:
    rows = _rows(0, 200)
    noise = np.random.default_rng(2).normal(0, 0.2, 200)
    kernel = choose_kernel(rows, noise)
    assert kernel.noise >= 0.2
    found = np.log(fit_residual(rows, noise, kernel).factor(rows))
    assert found.std() < 0.5 * noise.std()


def test_units_that_are_all_alike_give_their_mean() -> None:
    rows = np.repeat(_rows(0, 2), 40, axis=0)
    wanted = np.repeat([0.2, -0.1], 40)
    residual = fit_residual(rows, wanted, choose_kernel(rows, wanted))
    assert len(residual.points) == 2
    found = np.log(residual.factor(rows[[0, -1]]))
    assert found == pytest.approx([0.2, -0.1], abs=0.01)


def test_of_many_units_some_decide_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(0, 100)
    wanted = np.where(np.arange(100) % 2, _truth(rows), -_truth(rows))
    monkeypatch.setattr(residual_fit, "_MAX_COMPARED", 40)
    some = np.random.default_rng(0).permutation(100)[:40]
    damaged = np.full(100, np.nan)
    damaged[some] = wanted[some]
    assert choose_kernel(rows, damaged) == choose_kernel(rows, wanted)
    monkeypatch.setattr(residual_fit, "_MAX_COMPARED", 100)
    assert choose_kernel(rows, damaged) != choose_kernel(rows, wanted)


def test_a_feature_that_tells_nothing_is_left_out_and_others_have_lengths_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((300, len(FEATURES)))
    rows[:, :3] = rng.normal(size=(300, 3))
    wanted = np.sin(3 * rows[:, 0]) + 0.2 * np.sin(rows[:, 1])
    kernel = choose_kernel(rows, wanted)
    assert kernel.lengths[0] < kernel.lengths[1] < kernel.lengths[2]
    assert np.isinf(kernel.lengths[3:]).all()
    residual = fit_residual(rows, wanted, kernel)
    new = np.zeros((50, len(FEATURES)))
    new[:, :3] = rng.normal(size=(50, 3))
    truth = np.sin(3 * new[:, 0]) + 0.2 * np.sin(new[:, 1])
    assert np.abs(np.log(residual.factor(new)) - truth).mean() < 0.03
