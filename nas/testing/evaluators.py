"""What every evaluator keeps to: the same candidate gets the same answer, alone or with others."""

from multiprocessing.reduction import ForkingPickler

import numpy as np

from nas.core import plugins
from nas.core.plugins import Plugin
from nas.latency.file import load_table
from nas.searching.plugin_checks import blamed, check_deviation, check_evaluator
from nas.searching.problem import Candidates, Evaluator, Metrics, answers
from nas.space.file import load_space
from nas.space.space import Space
from nas.testing.spaces import sample, tiny

TRAINING: set[str] = {"proxy", "zero_cost", "supernet"}
"""Evaluators of ours that take long for a candidate; they judge a tiny space, as others do."""
_TOLERANCE = 1e-6


def space_of(text: str) -> Space:
    """Return the space whose candidates are judged."""
    name = Plugin.parse(text).name
    return tiny() if "." in name or name in TRAINING else load_space("mnasnet_b0")


def make(text: str) -> Evaluator:
    """Return the evaluator that `text` names."""
    given = {"table": load_table("pixel1"), "seed": 0}
    made: Evaluator = plugins.create("evaluators", Plugin.parse(text), space_of(text), **given)
    return made


def batch(text: str, count: int) -> Candidates:
    """Return some candidates."""
    space = space_of(text)
    return Candidates(space=space, picks=sample(space, count))


def _metrics(evaluator: Evaluator, candidates: Candidates) -> Metrics:
    return answers(evaluator, candidates).metrics


def _rows(candidates: Candidates, rows: slice) -> Candidates:
    return Candidates(space=candidates.space, picks=candidates.picks[rows])


def it_answers_for_what_it_provides(text: str) -> None:
    """It gives a finite number for every metric and candidate."""
    evaluator = make(text)
    check_evaluator(evaluator, text)
    for name, values in _metrics(evaluator, batch(text, 7)).items():
        assert np.isfinite(values).all(), f"{name} is not finite: {values}"


def a_batch_is_answered_like_its_candidates(text: str) -> None:
    """A batch is answered like its candidates one by one."""
    evaluator, some = make(text), batch(text, 5)
    together = _metrics(evaluator, some)
    for i in range(5):
        alone = _metrics(evaluator, _rows(some, slice(i, i + 1)))
        for name, values in together.items():
            one, all_of_them = float(alone[name][0]), float(values[i])
            close = np.isclose(one, all_of_them, rtol=_TOLERANCE, atol=0)
            assert close, f"{name} is {one} alone and {all_of_them} in a batch"


def the_same_candidates_get_the_same_answers(text: str) -> None:
    """The same candidates get the same answers."""
    evaluator = make(text)
    one, other = _metrics(evaluator, batch(text, 5)), _metrics(evaluator, batch(text, 5))
    for name, values in one.items():
        assert values.tolist() == other[name].tolist(), f"{name} differs"


def an_empty_batch_is_answered(text: str) -> None:
    """An empty batch is answered."""
    evaluator, nothing = make(text), _rows(batch(text, 1), slice(0))
    _metrics(evaluator, nothing)
    with blamed(evaluator, "deviation"):
        check_deviation(evaluator.deviation(nothing), evaluator.provides, count=0)


def deviations_are_those_of_its_metrics(text: str) -> None:
    """Deviations are positive numbers, of metrics that it provides."""
    evaluator = make(text)
    found = evaluator.deviation(batch(text, 4))
    with blamed(evaluator, "deviation"):
        check_deviation(found, evaluator.provides, count=4)
    for name, values in found.items():
        assert (values > 0).all(), f"{name} has a deviation of 0; leave it out if it is exact"


def it_leaves_its_candidates_alone(text: str) -> None:
    """It does not change the candidates."""
    some = batch(text, 4)
    before = some.picks.copy()
    make(text)(some)
    assert np.array_equal(some.picks, before), "the picks were changed"


def it_names_itself_the_same_way_each_time(text: str) -> None:
    """Its text names what its answers depend on, the same in every process."""
    said = str(make(text))
    assert said == str(make(text)), "two of the same options have different texts"
    assert "0x" not in said, f"define __str__: {said} names a place in memory"


def it_travels_to_workers(text: str) -> None:
    """It can be sent to other processes."""
    evaluator = make(text)
    again = ForkingPickler.loads(ForkingPickler.dumps(evaluator))
    assert str(again) == str(evaluator)


CHECKS = (
    it_answers_for_what_it_provides,
    a_batch_is_answered_like_its_candidates,
    the_same_candidates_get_the_same_answers,
    an_empty_batch_is_answered,
    deviations_are_those_of_its_metrics,
    it_leaves_its_candidates_alone,
    it_names_itself_the_same_way_each_time,
    it_travels_to_workers,
)
"""In the order in which they are run."""
