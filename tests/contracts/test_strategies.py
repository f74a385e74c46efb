"""What every strategy keeps to; a new one is tested without being listed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from nas.core.plugins import Plugin, available, create
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import (
    Candidates,
    Constraint,
    Metrics,
    Objective,
    Problem,
    Reward,
    Trials,
)
from nas.space.file import load_space
from nas.space.space import Matrix, Space

STRATEGIES = tuple(available("strategies"))
NEEDS = {"gp": "torch", "cmaes": "cmaes"}
SLOW = ("gp",)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Answers with an accuracy and a latency that depend on all picks, both as if expensive.

    It raises where the first pick is `broken`, and says NaN where it is `empty`.
    """

    provides: tuple[str, ...] = ("top1", "latency_ms")
    seconds: float = 1.0
    broken: int = -1
    empty: int = -1

    def __call__(self, candidates: Candidates) -> Metrics:
        picks = candidates.picks.astype(float)
        first = candidates.picks[:, 0]
        if (first == self.broken).any():
            raise RuntimeError("out of order")
        total = picks @ (1 + np.arange(picks.shape[1]))
        top1 = np.where(first == self.empty, np.nan, 1 - 1 / (2 + total / 50))
        return {"top1": top1, "latency_ms": 10 + picks.sum(axis=1)}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.torch] if name in SLOW else []) for name in STRATEGIES
    ]
)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one strategy after the other."""
    return str(request.param)


@pytest.fixture
def space(name: str, tiny: Space) -> Space:
    return tiny if name in SLOW else load_space("mobilenetv3")


_COSTS: dict[str, Any] = {}


def costs_of(space: Space) -> Any:
    """Return the evaluator of costs; making one takes longer than a test."""
    if space.name not in _COSTS:
        _COSTS[space.name] = create_costs(space)
    return _COSTS[space.name]


def problem_of(space: Space, *objectives: str, limits: Sequence[str] = (), **judge: int) -> Problem:
    return Problem(
        space=space,
        evaluators=(costs_of(space), Judge(**judge)),
        objectives=tuple(Objective.parse(o) for o in objectives or ("top1", "macs")),
        limits=tuple(Constraint.parse(limit) for limit in limits),
    )


def strategy(name: str, problem: Problem, seed: int = 3) -> Any:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return create("strategies", Plugin.parse(name), problem, seed=seed)


def search(problem: Problem, proposer: Any, *, asks: int = 4, count: int = 20) -> list[Trials]:
    """Ask and tell a few times; stop when nothing comes."""
    told: list[Trials] = []
    for _ in range(asks):
        picks = proposer.ask(count)
        if not len(picks):
            break
        told.append(evaluate(problem, picks, first=sum(map(len, told))))
        proposer.tell(told[-1])
    return told


def size(name: str) -> dict[str, int]:
    return {"asks": 3, "count": 4} if _repeats(name) else {}


def few(name: str, count: int) -> int:
    """Return `count`, or 1 where a proposal from many trials takes seconds."""
    return 1 if name in SLOW else count


def asked(told: list[Trials]) -> Matrix:
    return np.concatenate([trials.picks for trials in told])


def check(problem: Problem, told: list[Trials]) -> None:
    rows = asked(told)
    assert rows.dtype == np.uint8
    assert rows.shape[1] == len(problem.space.columns)
    assert (rows < problem.space.widths).all()
    assert np.array_equal(rows, problem.space.canonical(rows))


def test_it_has_one_line_that_describes_it(name: str) -> None:
    assert available("strategies")[name].endswith(".")


def test_the_batch_is_a_positive_number(name: str, space: Space) -> None:
    assert strategy(name, problem_of(space)).batch >= 1


def test_equal_seeds_and_tells_give_equal_asks(name: str, space: Space) -> None:
    problem = problem_of(space)
    runs = [asked(search(problem, strategy(name, problem), **size(name))) for _ in range(2)]
    assert np.array_equal(*runs)


def test_another_seed_gives_other_asks(name: str, space: Space) -> None:
    problem = problem_of(space)
    one, other = (strategy(name, problem, seed).ask(5) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_a_replay_goes_on_like_the_original(name: str, space: Space) -> None:
    problem = problem_of(space)
    original, replayed = strategy(name, problem), strategy(name, problem)
    for trials in search(problem, original, **size(name)):
        replayed.ask(size(name).get("count", 20))
        replayed.tell(trials)
    count = few(name, 5)
    assert np.array_equal(original.ask(count), replayed.ask(count))


@pytest.mark.parametrize(
    "objectives", [("top1",), ("macs",), ("top1", "latency_ms"), ("top1", "macs", "params")]
)
def test_proposals_are_of_the_space(name: str, objectives: tuple[str, ...], space: Space) -> None:
    problem = problem_of(space, *objectives)
    check(problem, search(problem, strategy(name, problem), **size(name)))


def test_it_works_in_every_bundled_space(name: str) -> None:
    for bundled in ("mnasnet_b0", "mnasnet"):
        problem = problem_of(load_space(bundled))
        check(problem, search(problem, strategy(name, problem), asks=3, count=4))


def test_it_works_on_a_reward(name: str, space: Space) -> None:
    problem = replace(
        problem_of(space),
        objectives=(Objective.parse("reward"),),
        reward=Reward(accuracy="top1", target=50),
    )
    told = search(problem, strategy(name, problem), **size(name))
    check(problem, told)
    assert all(trials.ok.all() for trials in told)


@pytest.mark.parametrize("limits", [("macs<=200M",), ("latency_ms<=45", "top1>=0.6"), ("macs<=1",)])
def test_it_works_under_limits(name: str, limits: tuple[str, ...], space: Space) -> None:
    problem = problem_of(space, limits=limits)
    told = search(problem, strategy(name, problem), **size(name))
    check(problem, told)
    assert sum(map(len, told)) >= 10


def test_it_works_around_failures_and_nan(name: str, space: Space) -> None:
    problem = problem_of(space, broken=0, empty=1)
    told = search(problem, strategy(name, problem), **size(name))
    check(problem, told)
    assert {"failed"} <= set(np.concatenate([trials.status for trials in told]))


def test_it_works_when_everything_fails(name: str, tiny: Space) -> None:
    problem = problem_of(tiny)
    proposer = strategy(name, problem)
    for number in range(4):
        picks = proposer.ask(4)
        blank = {"top1": np.full(len(picks), np.nan)} | dict(problem.known(picks))
        errors = {4 * number + i: "no" for i in range(len(picks))}
        status = np.full(len(picks), "failed")
        proposer.tell(
            Trials(first=4 * number, picks=picks, metrics=blank, status=status, errors=errors)
        )


def test_it_learns_from_trials_it_did_not_ask_for(name: str, space: Space) -> None:
    problem = problem_of(space)
    proposer = strategy(name, problem)
    rows = space.sample_matrix(np.random.default_rng(8), 30)
    proposer.tell(evaluate(problem, rows))
    told = search(problem, proposer, asks=3, count=few(name, 4))
    check(problem, told)


def test_it_may_be_asked_again_before_it_is_told(name: str, space: Space) -> None:
    problem = problem_of(space)
    proposer = strategy(name, problem)
    batches = [proposer.ask(few(name, 4)) for _ in range(3)]
    for picks in reversed(batches):
        proposer.tell(evaluate(problem, picks))
    check(problem, [evaluate(problem, proposer.ask(few(name, 4)))])


def test_it_ends_or_repeats_on_a_tiny_space(name: str, tiny: Space) -> None:
    fewer = replace(tiny, name="fewer", stages=tiny.stages[1:])
    problem = problem_of(fewer if name == "guided" else tiny)
    effort = size(name) or {"asks": 1000, "count": problem.space.size // 4}
    told = search(problem, strategy(name, problem), **effort)
    rows = asked(told)
    check(problem, told)
    if not _repeats(name):
        assert len(np.unique(rows, axis=0)) == len(rows) == problem.space.size


def test_it_ends_where_limits_leave_little(name: str, tiny: Space, everything: Matrix) -> None:
    problem = problem_of(tiny)
    macs = np.sort(problem.known(everything)["macs"])
    problem = problem_of(tiny, limits=[f"macs<={macs[5]:.12g}"])
    told = search(problem, strategy(name, problem), **(size(name) or {"asks": 20}))
    check(problem, told)
    if not _repeats(name):
        assert all(trials.ok.all() for trials in told)
        assert sum(map(len, told)) == (macs <= macs[5]).sum()


def _repeats(name: str) -> bool:
    """Return whether it is one of Optuna's samplers, which do not mind what was proposed."""
    return name in (*SLOW, "tpe", "nsga2", "nsga3", "cmaes", "optuna_sampler")
