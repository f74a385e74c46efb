"""The kernel model: its treatment of noise and of known trials."""

from dataclasses import replace

import numpy as np
import pytest

from nas.accuracy.features import NAMES
from nas.accuracy.picks import PicksFeatures
from nas.core.errors import NasError
from nas.searching import kernel_model, row_features
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create
from nas.searching.kernel_model import KernelModel
from nas.searching.problem import OK, STATUS_TYPE, Problem, Trials
from nas.space.file import load_space
from nas.space.space import Space


def _told(problem: Problem, rows: np.ndarray, top1: np.ndarray) -> KernelModel:
    model = KernelModel(problem, most=1000)
    status = np.full(len(rows), OK, dtype=STATUS_TYPE)
    model.tell(Trials(first=0, picks=rows, metrics={"top1": top1}, status=status))
    return model


def _predicted(problem: Problem, model: KernelModel, rows: np.ndarray) -> np.ndarray:
    return model.predict(rows, problem.known(rows))["top1"]


def test_contradicting_trials_are_averaged(problem: Problem, all_rows: np.ndarray) -> None:
    rows = all_rows[[0, 0, -1, -1]]
    model = _told(problem, rows, np.array([0.5, 0.7, 0.1, 0.3]))
    assert _predicted(problem, model, rows) == pytest.approx([0.6, 0.6, 0.2, 0.2], abs=1e-3)


def test_predictions_of_known_trials_are_close(problem: Problem, all_rows: np.ndarray) -> None:
    rows = all_rows[:: max(1, len(all_rows) // 40)]
    top1 = evaluate(problem, rows).metrics["top1"]
    error = _predicted(problem, _told(problem, rows, top1), rows) - top1
    assert 0.002 < np.abs(error).max() / top1.std() < 0.02  # noise is allowed for, but little


def test_predictions_keep_nine_digits(problem: Problem, all_rows: np.ndarray) -> None:
    rows = all_rows[:20]
    model = _told(problem, rows, evaluate(problem, rows).metrics["top1"])
    found = _predicted(problem, model, all_rows)
    scaled = np.ldexp(np.frexp(found)[0], 30)
    assert (scaled == np.round(scaled)).all()


def test_latest_trials_count_and_at_most_a_fifth_more(
    problem: Problem, all_rows: np.ndarray
) -> None:
    rows = all_rows[np.arange(100) % len(all_rows)]
    rng = np.random.default_rng(0)
    top1 = rng.random(100)
    status = np.full(100, OK, dtype=STATUS_TYPE)

    def model_of(*parts: slice) -> np.ndarray:
        model = KernelModel(problem, most=50)
        for part in parts:
            told = {"top1": top1[part]}
            model.tell(Trials(first=0, picks=rows[part], metrics=told, status=status[part]))
        return _predicted(problem, model, all_rows)

    for told, dropped in ((60, 10), (69, 10), (70, 20)):
        latest = model_of(slice(dropped, told))
        assert model_of(slice(told)) == pytest.approx(latest, rel=1e-8)
        assert model_of(slice(55), slice(55, told)) == pytest.approx(latest, rel=1e-8)


def _mean_error(problem: Problem) -> float:
    """Return the error on new rows of a number that depends on the depth of whole networks."""
    features = PicksFeatures(problem.space)
    depth = NAMES.index("g_depth")
    rows = problem.space.sample_matrix(np.random.default_rng(0), 140)
    wanted = np.sin(features(rows)[:, depth])
    model = _told(problem, rows[:40], wanted[:40])
    return float(np.abs(_predicted(problem, model, rows[40:]) - wanted[40:]).mean())


def test_features_of_networks_tell_more_than_picks(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space("mbconv_64")
    problem = replace(problem, space=space, evaluators=(create(space), problem.evaluators[-1]))
    found = _mean_error(problem)
    monkeypatch.setattr(row_features, "PicksFeatures", _unknown)
    assert found < 0.7 * _mean_error(problem)


class _Noise:
    """Features that say nothing."""

    one_by_one = False

    def __init__(self, space: Space) -> None:
        self.weights = np.random.default_rng(0).normal(size=(len(space.columns), 40))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return np.sin(1e4 * (rows @ self.weights))


def test_features_are_left_out_where_picks_alone_predict_better(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space("mbconv_64")
    problem = replace(problem, space=space, evaluators=(create(space), problem.evaluators[-1]))
    monkeypatch.setattr(row_features, "PicksFeatures", _Noise)
    rows = space.sample_matrix(np.random.default_rng(0), 300)
    wanted = np.sin(problem.known(rows)["macs"] / 1e8) + rows[:, 3] + rows[:, 5]

    def error() -> float:
        model = _told(problem, rows[:200], wanted[:200])
        return float(np.abs(_predicted(problem, model, rows[200:]) - wanted[200:]).mean())

    found = error()
    monkeypatch.setattr(kernel_model, "_CLEARLY", 0.0)
    assert found < 0.7 * error()


def _unknown(space: Space) -> PicksFeatures:
    raise NasError(f"the blocks of {space.name} have no features")
