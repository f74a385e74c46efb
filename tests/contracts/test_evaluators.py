"""The contract of evaluators: whatever lies in the folder, and comes with its options' defaults."""

import numpy as np
import pytest

from nas import plugins
from nas.latency_file import load_table
from nas.plugins import Plugin
from nas.problem import Candidates, Evaluator
from nas.space_file import load_space

GIVEN = {"table": {"table": load_table("pixel1")}}
SPACE = load_space("mbconv")
TORCH = ("proxy", "zero_cost", "supernet")
NAMES = [
    pytest.param(name, marks=pytest.mark.torch) if name in TORCH else name
    for name in plugins.available("evaluators")
]


@pytest.fixture(params=NAMES)
def evaluator(request: pytest.FixtureRequest) -> Evaluator:
    name = request.param
    if name in TORCH:
        pytest.importorskip("torch")
    return plugins.create("evaluators", Plugin.parse(name), SPACE, **GIVEN.get(name, {}))


def _batch(count: int) -> Candidates:
    return Candidates(space=SPACE, picks=SPACE.sample_matrix(np.random.default_rng(0), count))


def _rows(candidates: Candidates, rows: slice) -> Candidates:
    return Candidates(space=SPACE, picks=candidates.picks[rows])


def test_it_answers_for_what_it_provides(evaluator: Evaluator) -> None:
    answers = evaluator(_batch(7))
    assert evaluator.provides
    assert set(answers) == set(evaluator.provides)
    for values in answers.values():
        assert values.shape == (7,)
        assert np.isfinite(values).all()


def test_a_batch_is_answered_like_its_candidates(evaluator: Evaluator) -> None:
    batch = _batch(5)
    together = evaluator(batch)
    for i in range(5):
        alone = evaluator(_rows(batch, slice(i, i + 1)))
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[i], rel=1e-6)


def test_the_same_candidates_get_the_same_answers(evaluator: Evaluator) -> None:
    one, other = evaluator(_batch(5)), evaluator(_batch(5))
    for name, values in one.items():
        assert values.tolist() == other[name].tolist()


def test_an_empty_batch_is_answered(evaluator: Evaluator) -> None:
    answers = evaluator(_rows(_batch(1), slice(0)))
    assert all(values.shape == (0,) for values in answers.values())
    assert all(
        values.shape == (0,) for values in evaluator.deviation(_rows(_batch(1), slice(0))).values()
    )


def test_deviations_are_those_of_its_metrics(evaluator: Evaluator) -> None:
    deviation = evaluator.deviation(_batch(4))
    assert set(deviation) <= set(evaluator.provides)
    for values in deviation.values():
        assert values.shape == (4,)
        assert (values > 0).all()


def test_it_leaves_its_candidates_alone(evaluator: Evaluator) -> None:
    batch = _batch(4)
    before = batch.picks.copy()
    evaluator(batch)
    assert np.array_equal(batch.picks, before)


def test_it_names_itself_the_same_way_each_time(evaluator: Evaluator) -> None:
    text = str(evaluator)
    assert text == str(evaluator)
    assert "0x" not in text
    assert evaluator.seconds >= 0
    assert isinstance(evaluator.note, str)
