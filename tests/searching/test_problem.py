"""Objectives, limits, reward and problems: what they parse, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from nas.core.errors import NasError, UnknownName
from nas.searching.problem import Constraint, Objective, Problem, Trials, concatenate
from nas.searching.reward import Reward


@pytest.mark.parametrize(
    ("text", "metric", "direction"),
    [
        ("latency_ms", "latency_ms", "min"),
        ("top1", "top1", "max"),
        ("top1_proxy", "top1_proxy", "max"),
        ("reward", "reward", "max"),
        ("max:latency_ms", "latency_ms", "max"),
        ("min:top1", "top1", "min"),
    ],
)
def test_objectives_know_what_is_better(text: str, metric: str, direction: str) -> None:
    objective = Objective.parse(text)
    assert (objective.metric, objective.direction) == (metric, direction)
    assert Objective.parse(str(objective)) == objective


def test_an_objective_has_one_of_two_directions() -> None:
    with pytest.raises(NasError, match="objective 'up:top1': expected METRIC, min:METRIC or max"):
        Objective.parse("up:top1")


@pytest.mark.parametrize(
    ("text", "value", "at_most"),
    [
        ("latency_ms<=80", 80, True),
        (" top1_proxy >= 0.65 ", 0.65, False),
        ("params<=5M", 5e6, True),
        ("macs<=1.5G", 1.5e9, True),
        ("params<=500k", 5e5, True),
        ("macs<=3e8", 3e8, True),
    ],
)
def test_limits_parse(text: str, value: float, at_most: bool) -> None:
    limit = Constraint.parse(text)
    assert (limit.value, limit.at_most) == (value, at_most)
    assert Constraint.parse(str(limit)) == limit


@pytest.mark.parametrize(
    "text",
    ["", "latency_ms", "latency_ms<80", "latency_ms<=", "latency_ms<=fast", "latency_ms<=1.2.3",
     "<=80", "a b<=3", "latency_ms<=nan", "latency_ms==80", "80>=latency_ms", "latency_ms<=."],
)  # fmt: skip
def test_a_limit_that_is_none_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(NasError, match="expected METRIC<=NUMBER or METRIC>=NUMBER, as in lat"):
        Constraint.parse(text)


def test_limits_hold_at_their_value_and_never_for_nan() -> None:
    values = np.array([79.0, 80.0, 81.0, np.nan])
    assert Constraint.parse("latency_ms<=80").holds(values).tolist() == [True, True, False, False]
    assert Constraint.parse("latency_ms>=80").holds(values).tolist() == [False, True, True, False]


def test_reward_is_the_published_formula() -> None:
    metrics = {"top1": np.array([0.7, 0.7, 0.7]), "latency_ms": np.array([80.0, 160.0, 40.0])}
    soft = Reward(accuracy="top1", target=80.0)(metrics)
    assert soft == pytest.approx([0.7, 0.7 * 2**-0.07, 0.7 * 2**0.07])
    hard = Reward(accuracy="top1", target=80.0, below=0.0, above=-1.0)(metrics)
    assert hard == pytest.approx([0.7, 0.35, 0.7])


@pytest.mark.parametrize(
    "changes", [{"target": 0.0}, {"target": -5.0}, {"target": np.nan}, {"below": np.inf}]
)
def test_a_reward_needs_a_target(changes: dict[str, float]) -> None:
    with pytest.raises(NasError, match="a target above 0 and finite exponents"):
        Reward(**{"accuracy": "top1", "target": 80.0, **changes})


def test_a_problem_refuses_metrics_that_nobody_provides(problem: Problem) -> None:
    with pytest.raises(UnknownName, match="unknown metric 'mac'; did you mean macs"):
        replace(problem, limits=(Constraint.parse("mac<=5M"),))
    with pytest.raises(UnknownName, match="unknown metric 'top5'; did you mean top1"):
        replace(problem, objectives=(Objective.parse("max:top5"),))
    with pytest.raises(UnknownName, match="unknown metric 'reward'"):
        replace(problem, objectives=(Objective.parse("reward"),))
    with pytest.raises(UnknownName, match="unknown metric 'latency_ms'"):
        replace(problem, reward=Reward(accuracy="top1", target=80.0))


def test_a_problem_needs_an_objective_and_one_source_per_metric(problem: Problem) -> None:
    with pytest.raises(NasError, match="at least one objective"):
        replace(problem, objectives=())
    with pytest.raises(NasError, match="more than one evaluator answers for top1"):
        replace(problem, evaluators=(*problem.evaluators, problem.evaluators[-1]))


def test_scores_are_all_to_be_minimised(problem: Problem) -> None:
    scores = problem.scores({"top1": np.array([0.5, 0.6]), "macs": np.array([10.0, 20.0])})
    assert scores.tolist() == [[-0.5, 10.0], [-0.6, 20.0]]


def test_free_evaluators_answer_without_a_trial(problem: Problem, all_rows: np.ndarray) -> None:
    assert set(problem.known(all_rows)) == {"macs", "params", "activations"}
    assert [evaluator.provides for evaluator in problem.expensive] == [("top1",)]


def test_evaluators_without_a_text_are_described_by_their_class(problem: Problem) -> None:
    class Mute:
        provides, seconds, note = ("size",), 0.0, ""

    one, other = (replace(problem, evaluators=(*problem.evaluators, Mute())) for _ in range(2))
    assert one.describe() == other.describe()
    costs, fake, mute = one.describe()["evaluators"]
    assert (costs, fake) == ("costs", "fake")
    assert mute.startswith("test_problem.") or ".test_problem." in mute
    assert mute.endswith(".Mute")


def test_trials_join_in_order() -> None:
    def part(first: int, **metrics: float) -> Trials:
        return Trials(
            first=first,
            picks=np.full((1, 3), first, np.uint8),
            metrics={name: np.array([value]) for name, value in metrics.items()},
            status=np.array(["ok"]),
            seconds=1.0,
            errors={first: "why"},
        )

    joined = concatenate([part(0, a=1.0), part(1, a=2.0, b=3.0)], 3)
    assert joined.picks[:, 0].tolist() == [0, 1]
    assert joined.metrics["a"].tolist() == [1.0, 2.0]
    assert np.isnan(joined.metrics["b"][0])
    assert joined.errors == {0: "why", 1: "why"}
    assert joined.seconds == 2.0
    assert len(concatenate([], 3)) == 0
