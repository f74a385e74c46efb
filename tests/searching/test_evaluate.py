"""Evaluation: limits before expensive evaluators, failures one by one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nas.core.errors import BadPlugin
from nas.searching.evaluate import evaluate
from nas.searching.problem import Constraint, Objective, Problem
from nas.searching.reward import Reward


def test_limit_stops_before_expensive_evaluator(
    with_constraints: Callable[..., Problem], all_rows: np.ndarray
) -> None:
    problem = with_constraints("macs<=400k")
    trials = evaluate(problem, all_rows)
    kept = trials.metrics["macs"] <= 400_000
    assert 0 < kept.sum() < len(all_rows)
    assert problem.evaluators[1].calls == [kept.sum()]
    assert trials.status.tolist() == ["ok" if k else "infeasible" for k in kept]
    assert np.array_equal(np.isnan(trials.metrics["top1"]), ~kept)


def test_expensive_evaluators_do_not_run_when_nothing_satisfies_the_constraints(
    with_constraints: Callable[..., Problem], all_rows: np.ndarray
) -> None:
    problem = with_constraints("params<=1")
    trials = evaluate(problem, all_rows)
    assert problem.evaluators[1].calls == []
    assert not trials.ok.any()


def test_a_limit_on_an_expensive_metric_is_checked_too(
    with_constraints: Callable[..., Problem], all_rows: np.ndarray
) -> None:
    trials = evaluate(with_constraints("top1>=0.51"), all_rows)
    assert np.array_equal(trials.ok, trials.metrics["top1"] >= 0.51)


def test_the_quickest_of_the_expensive_evaluators_comes_first(
    problem: Problem, all_rows: np.ndarray
) -> None:
    slow, quick = problem.evaluators[1], replace(problem.evaluators[1], calls=[])
    slow.provides, slow.seconds, quick.seconds = ("top1_proxy",), 100.0, 1.0
    problem = replace(
        problem,
        evaluators=(problem.evaluators[0], slow, quick),
        limits=(Constraint.parse("top1>=0.51"),),
    )
    trials = evaluate(problem, all_rows)
    assert quick.calls == [len(all_rows)]
    assert slow.calls == [trials.ok.sum()]


def test_an_evaluator_that_raises_fails_only_its_candidate(
    problem: Problem, all_rows: np.ndarray
) -> None:
    problem.evaluators[1].broken = 1
    rows = np.concatenate([all_rows[all_rows[:, 0] == 0][:9], all_rows[-1:]])
    trials = evaluate(problem, rows, first=100)
    assert trials.status.tolist() == ["ok"] * 9 + ["failed"]
    assert trials.errors == {109: "RuntimeError: out of order"}


def test_nan_in_an_objective_fails_the_candidate(problem: Problem, all_rows: np.ndarray) -> None:
    problem.evaluators[1].empty = 1
    trials = evaluate(problem, all_rows)
    failed = all_rows[:, 0] == 1
    assert np.array_equal(trials.status == "failed", failed)
    assert set(trials.errors) == set(np.flatnonzero(failed).tolist())
    assert trials.errors[len(all_rows) - 1] == "an objective came out as no finite number"


def test_an_accuracy_in_per_cent_fails_and_says_so(
    problem: Problem, all_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"top1": np.array([0.5, 75.2, np.inf])}
    monkeypatch.setattr(type(problem.evaluators[1]), "__call__", lambda self, _: answer)
    trials = evaluate(problem, all_rows[:3])
    assert trials.errors == {
        1: "top1 came out as 75.2; it must be a fraction (a number from -0.5 to 1.5)",
        2: "an objective came out as no finite number",
    }


def test_an_answer_of_the_wrong_form_ends_the_search_and_says_so(
    problem: Problem, all_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(problem.evaluators[1]), "__call__", lambda self, candidates: {})
    with pytest.raises(BadPlugin, match=r"evaluator fake .* gave nothing, and no top1"):
        evaluate(problem, all_rows[:3])


def test_an_interrupt_is_no_failed_trial(
    problem: Problem, all_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: object, candidates: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(problem.evaluators[1]), "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(problem, all_rows[:3])


def test_reward_is_worked_out_and_limits_on_it_hold(problem: Problem, all_rows: np.ndarray) -> None:
    reward = Reward(accuracy="top1", latency="macs", target=400_000.0)
    problem = replace(
        problem,
        reward=reward,
        objectives=(Objective.parse("reward"),),
        limits=(Constraint.parse("reward>=0.51"),),
    )
    trials = evaluate(problem, all_rows)
    assert trials.metrics["reward"] == pytest.approx(reward(trials.metrics))
    assert np.array_equal(trials.ok, trials.metrics["reward"] >= 0.51)
    assert 0 < trials.ok.sum() < len(all_rows)


def test_no_candidates_give_no_trials(problem: Problem, all_rows: np.ndarray) -> None:
    trials = evaluate(problem, all_rows[:0], first=7)
    assert (len(trials), trials.first) == (0, 7)
    assert problem.evaluators[1].calls == []
