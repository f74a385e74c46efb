"""Strategies learn from failures: a failed trial is told as the worst, and avoided."""

from collections.abc import Sequence

import numpy as np
import pytest

from nas.core.plugins import Plugin, create
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates, Constraint, Metrics, Objective, Problem, Trials
from nas.space.file import load_space
from nas.space.space import Space


class FakeEvaluator:
    """Prefers small picks, and raises for the best of all."""

    provides: tuple[str, ...] = ("top1",)
    seconds, note = 1.0, ""

    def __call__(self, candidates: Candidates) -> Metrics:
        if fails(candidates.picks).any():
            raise RuntimeError("out of memory")
        picks = candidates.picks.astype(float)
        return {"top1": 1 - picks.sum(axis=1) / picks.shape[1] / 20}

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}


def fails(picks: np.ndarray) -> np.ndarray:
    return np.asarray((picks[:, :3] == 0).all(axis=1))


def problem_of(space: Space, *objectives: str, limits: Sequence[str] = ()) -> Problem:
    return Problem(
        space=space,
        evaluators=(create_costs(space), FakeEvaluator()),
        objectives=tuple(Objective.parse(o) for o in objectives),
        limits=tuple(Constraint.parse(text) for text in limits),
    )


def _trials(problem: Problem, rows: np.ndarray) -> Trials:
    return evaluate(problem, rows)


@pytest.mark.parametrize("limits", [(), ("macs<=400M",)])
@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_a_failed_trial_is_told_as_the_worst(name: str, limits: Sequence[str]) -> None:
    space = load_space("mnasnet_b0")
    problem = problem_of(space, "top1", "macs", limits=limits)
    made = create("strategies", Plugin.parse(name), problem, seed=0)
    rows = space.sample_matrix(np.random.default_rng(0), 300)
    bad, good = rows[fails(rows)][:5], rows[~fails(rows)][:20]
    assert len(bad) == 5
    made.tell(_trials(problem, bad))
    assert not [t for t in made._study.trials if t.state.is_finished()]  # nothing to compare with
    made.tell(_trials(problem, good))
    told = [t for t in made._study.trials if t.state.is_finished()]
    assert len(told) == 25
    worst = np.max([t.values for t in told], axis=0)
    failed = [t for t in told if t.number < 5]
    assert all(t.values == worst.tolist() for t in failed)
    if limits:
        most = max(t.constraints["constraints"] for t in told)
        assert all(t.constraints["constraints"] == most > 0 for t in failed)


@pytest.mark.torch
def test_gp_does_not_ask_for_one_failing_architecture_again_and_again(tiny: Space) -> None:
    pytest.importorskip("torch")
    problem = problem_of(tiny, "top1")
    made = create("strategies", Plugin.parse("gp"), problem, seed=0)
    asked = []
    for _ in range(18):
        asked.append(made.ask(1))
        made.tell(_trials(problem, asked[-1]))
    rows = np.concatenate(asked)
    bad = rows[fails(rows)]
    assert not len(bad) or np.unique(bad, axis=0, return_counts=True)[1].max() <= 2


@pytest.mark.parametrize("objectives", [("top1",), ("top1", "macs")])
def test_guided_learns_where_candidates_fail(objectives: tuple[str, ...]) -> None:
    problem = problem_of(load_space("mnasnet_b0"), *objectives)
    made = create("strategies", Plugin.parse("guided"), problem, seed=0)
    failed = []
    while len(failed) < 60:
        trials = _trials(problem, made.ask(5))
        made.tell(trials)
        failed += (trials.status == "failed").tolist()
    assert sum(failed[30:]) <= 12  # of 30; without learning from failures most of them
