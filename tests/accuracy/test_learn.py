"""Accuracy models learned from few, noisy examples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from nas.accuracy.examples import LEAST, Examples
from nas.accuracy.gaussian import GaussianProcess, tune
from nas.accuracy.learn import (
    ENOUGH,
    Features,
    Fitted,
    _factor,
    _shrink,
    fit_accuracy,
)
from nas.accuracy.predictor import domain_fingerprint, load_accuracy_model, write_accuracy_model
from nas.core.errors import NasError
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates
from nas.space.file import load_space
from nas.space.sampling import covering_rows
from nas.space.space import Matrix, Space

pytestmark = pytest.mark.torch

SPACE = load_space("mobilenetv3")
NOISE = 0.004


def truth(space: Space, rows: Matrix) -> np.ndarray:
    """Return accuracies that depend on single picks, on the product of two, and on size."""
    slopes = np.random.default_rng(1).normal(0, 1, len(space.columns))
    values = space.active(rows) * rows / (space.widths - 1)
    macs = create_costs(space)(Candidates(space=space, picks=rows))["macs"]
    effect = values @ slopes / 4 + values[:, 0] * values[:, 1] + 2 * np.log(macs / 2e8)
    return 0.9 - 0.15 * np.exp(-effect / 8)


def examples_of(space: Space, count: int, *, noise: float = NOISE, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    rows = np.unique(space.sample_matrix(rng, count), axis=0)
    accuracy = truth(space, rows) + rng.normal(0, noise, len(rows))
    return Examples(space=space, picks=rows, accuracy=accuracy, metric="top1", source="a test")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return examples_of(SPACE, 200, seed=1)


@pytest.fixture(scope="module", params=["brief", pytest.param("full", marks=pytest.mark.slow)])
def fitted(request: pytest.FixtureRequest, examples: Examples) -> Fitted:
    """Return the fits with fewer steps than by default, and with as many."""
    with pytest.MonkeyPatch.context() as changed:
        if request.param == "brief":
            for name, value in (("_LABELS", 10_000), ("_STEPS", 1000), ("_ATTEMPTS", 1)):
                changed.setattr(f"nas.accuracy.learn.{name}", value)
            changed.setattr("nas.accuracy.gaussian._STEPS", 30)
        return fit_accuracy(examples)


@pytest.fixture(scope="module")
def fresh() -> Matrix:
    return SPACE.sample_matrix(np.random.default_rng(77), 1000)


def tau(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(one, other).statistic)


def test_few_noisy_rows_rank_new_architectures(
    fitted: Fitted, examples: Examples, fresh: Matrix
) -> None:
    wanted = truth(SPACE, fresh)
    macs = create_costs(SPACE)(Candidates(space=SPACE, picks=fresh))["macs"]
    predicted = fitted.model.accuracy(fresh)
    line = np.polyval(np.polyfit(np.log(macs), wanted, 1), np.log(macs))
    assert tau(macs, wanted) < 0.6
    assert tau(predicted, wanted) > 0.8
    assert np.abs(predicted - wanted).mean() < 0.6 * np.abs(line - wanted).mean()


def test_the_held_out_figures_are_what_new_measurements_show(
    fitted: Fitted, examples: Examples, fresh: Matrix
) -> None:
    held_out = fitted.model.held_out
    assert held_out is not None
    assert held_out.rows == len(examples)
    measured = truth(SPACE, fresh) + np.random.default_rng(5).normal(0, NOISE, len(fresh))
    predicted = fitted.model.predict_matrix(fresh)
    error = np.abs(predicted.accuracy - measured)
    assert tau(predicted.accuracy, measured) == pytest.approx(held_out.tau, abs=0.08)
    assert error.mean() == pytest.approx(held_out.mae, rel=0.25)
    assert np.mean(error < predicted.deviation) == pytest.approx(0.68, abs=0.1)
    assert np.mean(error < 2 * predicted.deviation) == pytest.approx(0.95, abs=0.04)
    assert held_out.within_one == pytest.approx(0.68, abs=0.1)
    assert held_out.within_two == pytest.approx(0.95, abs=0.05)


@pytest.mark.usefixtures("brief")
def test_deviations_grow_away_from_the_examples() -> None:
    space, column = load_space("mnasnet_b0"), 0
    rows = np.unique(_with(space, 60, column, 0), axis=0)
    model = fit_accuracy(
        Examples(space=space, picks=rows, accuracy=truth(space, rows), metric="top1", source="x")
    ).model
    last = int(space.widths[column]) - 1
    near, far = (
        model.predict_matrix(_with(space, 300, column, value, seed=9)) for value in (0, last)
    )
    assert far.deviation.mean() > 1.2 * near.deviation.mean()


def _with(space: Space, count: int, column: int, value: int, seed: int = 4) -> Matrix:
    rows = space.sample_matrix(np.random.default_rng(seed), count)
    rows[:, column] = value
    return space.canonical(rows)


@pytest.mark.usefixtures("brief")
def test_the_networks_follow_the_process(fitted: Fitted, examples: Examples) -> None:
    """The error is measured on rows that neither the networks nor the figure have seen."""
    features = Features(SPACE)
    inputs = features(examples.picks)
    process = GaussianProcess(inputs, examples.accuracy, tune(inputs, examples.accuracy, seed=0))
    shrunk = _shrink(examples, features, process, widened=1.0, seed=0)
    rows = covering_rows(SPACE, examples.picks, np.random.default_rng(123), 900)
    wanted = process.mean(features(rows))
    gap = shrunk.model.accuracy(rows) - wanted
    assert 1 - np.mean(gap**2) / np.var(wanted) == pytest.approx(shrunk.distillation_r2, abs=0.01)
    assert np.sqrt(np.mean(gap**2)) == pytest.approx(shrunk.distillation_gap, rel=0.3)
    assert fitted.distillation_r2 > ENOUGH


def test_a_model_is_written_and_read_like_a_bundled_one(
    fitted: Fitted, fresh: Matrix, tmp_path: Path
) -> None:
    write_accuracy_model(fitted.model, tmp_path / "m.npz")
    read = load_accuracy_model(tmp_path / "m.npz", SPACE)
    assert np.array_equal(read.accuracy(fresh), fitted.model.accuracy(fresh))
    assert read.held_out == fitted.model.held_out
    assert domain_fingerprint(read.domain) == domain_fingerprint(SPACE)
    assert "a test" in read.note


@pytest.mark.usefixtures("brief")
def test_accuracies_without_any_pattern_are_not_claimed_to_be_understood(tiny: Space) -> None:
    rows = np.unique(tiny.sample_matrix(np.random.default_rng(0), 60), axis=0)
    values = 0.5 + np.random.default_rng(3).normal(0, 0.01, len(rows))
    noise = Examples(space=tiny, picks=rows, accuracy=values, metric="top1", source="noise")
    held_out = fit_accuracy(noise).model.held_out
    assert held_out is not None
    assert held_out.tau < 0.3
    assert held_out.r2 < 0.2
    assert held_out.within_one == pytest.approx(0.68, abs=0.15)


@pytest.mark.usefixtures("brief")
def test_the_least_number_of_rows_is_enough_and_repeatable(
    tiny: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.accuracy.gaussian._STEPS", 6)
    rows = np.unique(tiny.sample_matrix(np.random.default_rng(0), 60), axis=0)[:LEAST]
    few = Examples(
        space=tiny, picks=rows, accuracy=truth(tiny, rows), metric="top1_proxy", source="x"
    )
    seen: list[tuple[int, int]] = []
    one = fit_accuracy(few, report=lambda done, total, note: seen.append((done, total)))
    assert one.model.metric == "top1_proxy"
    assert one.model.fingerprint == fit_accuracy(few).model.fingerprint
    assert [done for done, _ in seen] == list(range(LEAST + 2))
    assert seen[-1] == (LEAST + 1, LEAST + 1)


def test_too_few_or_equal_accuracies_are_refused(tiny: Space) -> None:
    rows = np.unique(tiny.sample_matrix(np.random.default_rng(0), 60), axis=0)
    enough = Examples(space=tiny, picks=rows, accuracy=truth(tiny, rows), metric="top1", source="x")
    with pytest.raises(NasError, match="19 different architectures with a top1 are too few"):
        replace(enough, picks=rows[:19], accuracy=enough.accuracy[:19])
    with pytest.raises(NasError, match=r"every top1 is 0\.1; nothing can be learned"):
        replace(enough, accuracy=np.full(len(rows), 0.1))


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_factor_makes_normal_errors_fit(scale: float) -> None:
    ratio = np.abs(np.random.default_rng(0).normal(0, scale, 20_000))
    assert _factor(ratio) == pytest.approx(scale, rel=0.02)


def test_a_process_knows_the_noise_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4))
    targets = np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1] + rng.normal(0, 0.2, 200)
    process = GaussianProcess(inputs, targets, tune(inputs, targets, seed=0))
    new = rng.normal(size=(500, 4))
    found, wanted = process(new), np.sin(new[:, 0]) + 0.5 * new[:, 1]
    assert np.mean((found.accuracy - wanted) ** 2) < 0.05**2 * 4
    assert np.median(found.deviation) == pytest.approx(0.2, rel=0.25)
    assert np.allclose(process.mean(new), found.accuracy)
    far = process(np.full((1, 4), 6.0))
    assert far.deviation[0] > 2 * np.median(found.deviation)
