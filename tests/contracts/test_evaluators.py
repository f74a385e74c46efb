"""The contract of evaluators: whatever lies in the folder, and comes with its options' defaults."""

from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import supernets

from nas.core import plugins
from nas.core.plugins import Plugin
from nas.latency.file import load_table
from nas.searching.problem import Candidates, Evaluator, Metrics, answers
from nas.space.file import load_space
from nas.space.space import Space

QUICK = "epochs=1,rungs=1,resolution=32"
GIVEN = {
    "table": {"table": load_table("pixel1")},
    "proxy": {"data": "shapes:count=64,classes=2", "seed": 0},
}
OPTIONS = {"proxy": f"proxy:{QUICK}", "zero_cost": "zero_cost:batch=4,resolution=32"}
SPACE = load_space("mnasnet_b0")
Batch = Callable[[int], Candidates]
TORCH = ("proxy", "zero_cost", "supernet")
NAMES = [
    pytest.param(name, marks=pytest.mark.torch) if name in TORCH else name
    for name in plugins.available("evaluators")
]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in TORCH:
        pytest.importorskip("torch")
    return str(request.param)


@pytest.fixture
def space(name: str, tiny: Space) -> Space:
    return tiny if name in TORCH else SPACE


@pytest.fixture
def evaluator(name: str, space: Space, tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    options = OPTIONS.get(name, name)
    if name == "supernet":
        folder = tmp_path_factory.getbasetemp() / "supernet"
        options = f"supernet:{supernets.trained(folder)}"  # it is trained once
    plugin = Plugin.parse(options)
    made: Evaluator = plugins.create("evaluators", plugin, space, **GIVEN.get(name, {}))
    return made


@pytest.fixture
def batch(space: Space) -> Batch:
    def draw(count: int) -> Candidates:
        rows = space.sample_matrix(np.random.default_rng(0), count)
        return Candidates(space=space, picks=rows)

    return draw


def _metrics(evaluator: Evaluator, candidates: Candidates) -> Metrics:
    return answers(evaluator, candidates).metrics


def _rows(candidates: Candidates, rows: slice) -> Candidates:
    return Candidates(space=candidates.space, picks=candidates.picks[rows])


def test_it_answers_for_what_it_provides(evaluator: Evaluator, batch: Batch) -> None:
    found = _metrics(evaluator, batch(7))
    assert evaluator.provides
    assert set(found) == set(evaluator.provides)
    for values in found.values():
        assert values.shape == (7,)
        assert np.isfinite(values).all()


def test_a_batch_is_answered_like_its_candidates(evaluator: Evaluator, batch: Batch) -> None:
    some = batch(5)
    together = _metrics(evaluator, some)
    for i in range(5):
        alone = _metrics(evaluator, _rows(some, slice(i, i + 1)))
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[i], rel=1e-6)


def test_the_same_candidates_get_the_same_answers(evaluator: Evaluator, batch: Batch) -> None:
    one, other = _metrics(evaluator, batch(5)), _metrics(evaluator, batch(5))
    for name, values in one.items():
        assert values.tolist() == other[name].tolist()


def test_an_empty_batch_is_answered(evaluator: Evaluator, batch: Batch) -> None:
    found = _metrics(evaluator, _rows(batch(1), slice(0)))
    assert all(values.shape == (0,) for values in found.values())
    assert all(
        values.shape == (0,) for values in evaluator.deviation(_rows(batch(1), slice(0))).values()
    )


def test_deviations_are_those_of_its_metrics(evaluator: Evaluator, batch: Batch) -> None:
    deviation = evaluator.deviation(batch(4))
    assert set(deviation) <= set(evaluator.provides)
    for values in deviation.values():
        assert values.shape == (4,)
        assert (values > 0).all()


def test_it_leaves_its_candidates_alone(evaluator: Evaluator, batch: Batch) -> None:
    some = batch(4)
    before = some.picks.copy()
    evaluator(some)
    assert np.array_equal(some.picks, before)


def test_it_names_itself_the_same_way_each_time(evaluator: Evaluator) -> None:
    text = str(evaluator)
    assert text == str(evaluator)
    assert "0x" not in text
    assert evaluator.seconds >= 0
    assert isinstance(evaluator.note, str)


def test_it_travels_to_workers(evaluator: Evaluator) -> None:
    again = ForkingPickler.loads(ForkingPickler.dumps(evaluator))
    assert str(again) == str(evaluator)
