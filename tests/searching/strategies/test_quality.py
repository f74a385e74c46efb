"""Strategies compared on the bundled models: small budgets, so wide margins."""

from dataclasses import replace

import numpy as np
import pytest

from nas.core.plugins import Plugin, create
from nas.latency.file import load_table
from nas.searching.evaluate import evaluate
from nas.searching.evaluators import costs, surrogate, table
from nas.searching.pareto import hypervolume
from nas.searching.problem import Constraint, Objective, Problem
from nas.space.file import load_space

POINT = np.array([-0.5, 130.0])


@pytest.fixture(scope="module")
def shipped() -> Problem:
    space = load_space("mnasnet_b0")
    latency = table.create(space, table=load_table("pixel1"), allow_extrapolation=True)
    return Problem(
        space=space,
        evaluators=(costs.create(space), latency, surrogate.create(space)),
        objectives=(Objective.parse("top1_proxy"), Objective.parse("latency_ms")),
        limits=(Constraint.parse("latency_ms<=130"),),
    )


def reached(problem: Problem, name: str, trials: int) -> float:
    strategy = create("strategies", Plugin.parse(name), problem, seed=0)
    scores, count = [], 0
    while count < trials:
        told = evaluate(problem, strategy.ask(min(strategy.batch, trials - count)))
        strategy.tell(told)
        scores.append(problem.scores(told.metrics)[told.ok])
        count += len(told)
    return hypervolume(np.concatenate(scores), POINT)


def test_archive_beats_random_by_far(shipped: Problem) -> None:
    assert reached(shipped, "archive", 2000) > 1.1 * reached(shipped, "random", 2000)


def test_guided_does_with_few_trials_what_archive_needs_many_for(shipped: Problem) -> None:
    assert reached(shipped, "guided", 150) > reached(shipped, "archive", 300)


def test_archive_keeps_a_constraint_on_accuracy_with_one_objective(shipped: Problem) -> None:
    limit = Constraint.parse("top1_proxy>=0.64")
    fastest = replace(shipped, objectives=shipped.objectives[1:], limits=(limit,))
    strategy, ok = create("strategies", Plugin.parse("archive"), fastest, seed=0), []
    while len(ok) < 1500:
        told = evaluate(fastest, strategy.ask(strategy.batch))
        strategy.tell(told)
        ok += told.ok.tolist()
    assert np.mean(ok[500:]) > 0.5


@pytest.mark.parametrize("name", ["archive", "guided"])
def test_a_constraint_on_accuracy_that_no_random_row_keeps_is_reached(
    shipped: Problem, name: str
) -> None:
    rows = shipped.space.sample_matrix(np.random.default_rng(1), 5000)
    best = evaluate(replace(shipped, limits=()), rows).metrics["top1_proxy"].max()
    limit = Constraint.parse(f"top1_proxy>={best:.5f}")
    fastest = replace(shipped, objectives=shipped.objectives[1:], limits=(limit,))
    strategy, ok = create("strategies", Plugin.parse(name), fastest, seed=0), []
    while len(ok) < 300 and not any(ok):
        told = evaluate(fastest, strategy.ask(strategy.batch))
        strategy.tell(told)
        ok += told.ok.tolist()
    assert any(ok)


def test_a_free_constraint_that_few_rows_keep_is_reached_and_kept() -> None:
    space = load_space("mbconv")
    latency = table.create(space, table=load_table("pixel1"), allow_extrapolation=True)
    problem = Problem(
        space=space,
        evaluators=(costs.create(space), latency),
        objectives=(Objective.parse("min:params"), Objective.parse("latency_ms")),
        limits=(Constraint.parse("latency_ms<=1.05"),),  # the fastest takes 1.026 ms
    )
    strategy, ok = create("strategies", Plugin.parse("archive"), problem, seed=1), []
    for _ in range(4):
        told = evaluate(problem, strategy.ask(50))
        strategy.tell(told)
        ok += told.ok.tolist()
    assert all(ok)
    assert len(ok) > 100
