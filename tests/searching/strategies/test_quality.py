"""Strategies compared on the bundled models: small budgets, so wide margins."""

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
