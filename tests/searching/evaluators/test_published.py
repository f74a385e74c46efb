"""The evaluator of published accuracies: means, lower bounds, second opinions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.searching.evaluators.published import WALL, create
from nas.searching.problem import Candidates
from nas.space.file import load_space
from nas.space.space import Space


def _some(space: Space, count: int = 50) -> Candidates:
    return Candidates(space=space, picks=space.sample_matrix(np.random.default_rng(0), count))


@pytest.mark.parametrize("name", ["mbconv", "mnasnet", "mobilenetv3"])
def test_the_bound_lies_below_the_mean_by_the_caution(name: str) -> None:
    some = _some(load_space(name))
    means = []
    for caution in (0.0, 1.0, 2.0):
        evaluator = create(some.space, caution=caution)
        found = evaluator(some)
        mean, below = found["top1"], found["top1"] - found["top1_lcb"]
        deviation = evaluator.model(some.picks, family=False).deviation
        inside = (deviation <= WALL * mean * (1 - mean)) & (found["top1_lcb"] > 0)
        assert below[inside] == pytest.approx(caution * deviation[inside], abs=2e-6)
        least = np.minimum(mean, caution * deviation)
        assert (below >= least - 2e-6).all()
        means.append(mean)
    assert np.array_equal(means[0], means[1])
    assert np.array_equal(means[0], means[2])


def test_the_bound_falls_steeply_where_the_predictor_knows_little() -> None:
    some = _some(load_space("mbconv"), 500)
    evaluator = create(some.space)
    found, deviation = evaluator(some), evaluator.model(some.picks, family=False).deviation
    unsure = deviation > 1.3 * WALL * found["top1"] * (1 - found["top1"])
    assert unsure.any()
    assert (found["top1"] - found["top1_lcb"])[unsure].min() > 1.5 * deviation[unsure].min()


def test_reported_deviations_count_the_family_too() -> None:
    some = _some(load_space("mbconv"))
    evaluator = create(some.space)
    own = evaluator.model(some.picks, family=False).deviation
    assert (evaluator.deviation(some)["top1"] > own).all()


def test_evaluators_of_another_caution_are_distinguished() -> None:
    space = load_space("mnasnet_b0")
    assert str(create(space)) != str(create(space, caution=2.0))
    for caution in (-1.0, float("nan")):
        with pytest.raises(NasError, match="caution must be a number >= 0"):
            create(space, caution=caution)


def test_a_second_opinion_is_near_and_not_the_same() -> None:
    some = _some(load_space("mnasnet_b0"))
    evaluator = create(some.space)
    judged, mean = evaluator.judged(some), evaluator(some)["top1"]
    assert judged is not None
    assert 0.001 < np.abs(judged - mean).mean() < 0.03
    assert "a second opinion" in evaluator.note
    assert replace(evaluator, judges=None).judged(some) is None
    assert "a second opinion" not in replace(evaluator, judges=None).note


def test_extrapolation_is_reported_for_a_space_and_its_networks(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "data" / "tiny.yaml").read_text(encoding="utf-8")
    path = tmp_path / "wide.yaml"
    path.write_text(text.replace("kernel: [3, 5]", "kernel: [9, 11]"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    for name, far in ((path, True), ("mnasnet_b0", False)):
        some = _some(load_space(name))
        evaluator = create(some.space)
        assert ("intervals are" in evaluator.note) == far
        assert ("kernels" in evaluator.note) == far
        assert all(bool(text) == far for text in evaluator.beyond(some))
