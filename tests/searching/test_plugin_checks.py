"""Results of strategies and evaluators are checked; errors give names and expectations."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from nas.core.errors import BadPlugin
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.plugin_checks import (
    CheckedStrategy,
    check_deviation,
    check_evaluator,
    check_strategy,
)
from nas.searching.problem import Answers, Candidates, Objective, Problem, answers
from nas.space.space import Space


@dataclass(frozen=True, kw_only=True)
class FakeEvaluator:
    """Returns whatever `said` gives."""

    said: Any
    provides: Any = ("top1",)
    seconds: Any = 1.0
    note: Any = ""

    def __call__(self, candidates: Candidates) -> Any:
        return self.said(len(candidates)) if callable(self.said) else self.said

    def deviation(self, candidates: Candidates) -> Any:
        return {}

    def __str__(self) -> str:
        return "mine"


@dataclass
class Proposer:
    """Proposes the given rows."""

    rows: Any
    batch: Any = 4
    told: list[Any] = field(default_factory=list)

    def ask(self, count: int) -> Any:
        return self.rows

    def tell(self, trials: Any) -> None:
        self.told.append(trials)


def candidates(space: Space, count: int = 3) -> Candidates:
    return Candidates(space=space, picks=rows(space, count))


def rows(space: Space, count: int = 3) -> Any:
    return space.sample_matrix(np.random.default_rng(0), count)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([0.5] * 3, "gave a list; expected a mapping of arrays by metric"),
        (None, "gave None; expected a mapping"),
        ({}, "gave nothing, and no top1, which it provides"),
        ({"top5": np.ones(3)}, "gave top5, and no top1, which it provides"),
        ({"top1": 0.5}, r"gave a float for top1; expected an array of floats, shape \(3,\)"),
        ({"top1": [0.5] * 3}, "gave a list for top1"),
        ({"top1": np.ones(3, int)}, r"gave int64, shape \(3,\), for top1; expected an array of fl"),
        ({"top1": np.ones(3, bool)}, "gave bool"),
        ({"top1": np.ones(3, object)}, "gave object"),
        ({"top1": np.ones((3, 1))}, r"gave float64, shape \(3, 1\), for top1"),
        ({"top1": np.ones(2)}, r"gave float64, shape \(2,\), for top1"),
        ({"top1": np.array([70.0, 76.2, 75.0])}, "gave top1 of 70 to 76.2; expected fractions"),
        (Answers(metrics={"top1": np.ones(3)}, errors={3: "no"}), "gave position 3 in a batch of"),
        (Answers(metrics={"top1": np.ones(3)}, errors={0: 1}), "gave errors that are no texts"),  # type: ignore[dict-item]
        (Answers(metrics={"top1": np.ones(3)}, stopped=frozenset({-1})), "gave position -1"),
    ],
)
def test_answers_are_checked(tiny: Space, said: Any, message: str) -> None:
    with pytest.raises(BadPlugin, match=rf"^evaluator mine \(.*test_plugin_checks\) {message}"):
        answers(FakeEvaluator(said=said), candidates(tiny))


def test_single_precision_becomes_double(tiny: Space) -> None:
    found = answers(FakeEvaluator(said={"top1": np.ones(3, np.float32)}), candidates(tiny)).metrics
    assert found["top1"].dtype == np.float64


def test_numbers_of_failed_candidates_may_be_anything(tiny: Space) -> None:
    values = np.array([75.0, 0.5, 0.5])
    said = Answers(metrics={"top1": values}, errors={0: "no"})
    assert answers(FakeEvaluator(said=said), candidates(tiny)).metrics["top1"] is values


def test_one_wrong_accuracy_fails_one_trial(tiny: Space) -> None:
    evaluator = FakeEvaluator(said={"top1": np.array([0.5, 75.2, 0.7])})
    trials = evaluate(problem(tiny, evaluator), rows(tiny))
    assert trials.ok.tolist() == [True, False, True]


def test_a_wrong_shape_ends_the_search_and_not_a_trial(tiny: Space) -> None:
    with pytest.raises(BadPlugin, match="shape"):
        evaluate(problem(tiny, FakeEvaluator(said=lambda n: {"top1": np.ones((n, 1))})), rows(tiny))


def problem(space: Space, evaluator: FakeEvaluator) -> Problem:
    return Problem(
        space=space,
        evaluators=(create_costs(space), evaluator),
        objectives=(Objective.parse("top1"),),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provides": "top1"}, r"provides must be a tuple .* not 'top1'"),
        ({"provides": ()}, r"provides must be a tuple .* not \(\)"),
        ({"provides": ("top 1",)}, "provides has 'top 1', which is no name of a metric"),
        ({"provides": (1,)}, "provides has 1, which is no name"),
        ({"seconds": -1.0}, "seconds must be a number >= 0, not -1.0"),
        ({"seconds": "1"}, "seconds must be a number >= 0, not '1'"),
        ({"seconds": float("nan")}, "seconds must be a number >= 0, not nan"),
        ({"note": None}, "note must be text, not None"),
    ],
)
def test_attributes_of_an_evaluator_are_checked(changes: Any, message: str) -> None:
    with pytest.raises(BadPlugin, match=f"^evaluator my.fake: {message}"):
        check_evaluator(replace(FakeEvaluator(said=None), **changes), "my.fake")
    check_evaluator(FakeEvaluator(said=None), "my.fake")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"top1": np.full(3, -0.1)}, "gave -0.1 for top1; expected numbers >= 0"),
        ({"top5": np.ones(3)}, "gave top5, which the evaluator does not provide"),
        ({"top1": 0.1}, "gave a float for top1"),
        (0.1, "gave a float; expected a mapping"),
    ],
)
def test_deviations_are_checked(found: Any, message: str) -> None:
    with pytest.raises(BadPlugin, match=message):
        check_deviation(found, ("top1",), count=3)
    check_deviation({}, ("top1",), count=3)


def checked(proposer: Proposer, space: Space) -> CheckedStrategy:
    return CheckedStrategy(proposer, space, "my.strategy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.astype(np.int64), r"gave int64, shape \(3, \d+\); expected uint8, shape \(up"),
        (lambda r: r.astype(float), "gave float64"),
        (lambda r: r[:, 1:], "expected uint8, shape"),
        (lambda r: r[0], "expected uint8, shape"),
        (lambda r: np.concatenate([r, r]), r"shape \(6, \d+\); expected uint8, shape \(up to 4"),
        (lambda r: r.tolist(), "gave a list; expected uint8"),
        (lambda _: None, "gave None; expected uint8"),
        (lambda r: r + np.uint8(200), r"gave index 20\d for \w+ in row 0"),
    ],
)
def test_rows_are_checked(tiny: Space, change: Any, message: str) -> None:
    with pytest.raises(BadPlugin, match=f"^strategy my.strategy: ask .*{message}"):
        checked(Proposer(change(rows(tiny))), tiny).ask(4)


def test_rows_must_be_canonical(tiny: Space) -> None:
    random = np.random.default_rng(0).integers(0, tiny.widths, (100, len(tiny.widths)))
    wrong = random.astype(np.uint8)
    assert not np.array_equal(tiny.canonical(wrong), wrong)
    with pytest.raises(BadPlugin, match=r"which has no influence in row .*; inactive choices must"):
        checked(Proposer(wrong), tiny).ask(100)


def test_good_rows_and_all_trials_pass(tiny: Space) -> None:
    proposer = Proposer(rows(tiny))
    strategy = checked(proposer, tiny)
    assert strategy.ask(3) is proposer.rows
    trials = evaluate(problem(tiny, FakeEvaluator(said=lambda n: {"top1": np.ones(n)})), rows(tiny))
    strategy.tell(trials)
    assert proposer.told == [trials]
    assert strategy.batch == 4


@pytest.mark.parametrize("batch", [0, -1, 2.5, "4", None, True])
def test_the_batch_is_checked(batch: Any) -> None:
    with pytest.raises(BadPlugin, match=r"^strategy mine: batch must be a whole number >= 1"):
        check_strategy(Proposer(None, batch=batch), "mine")
