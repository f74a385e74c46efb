"""What every strategy keeps to: proposals of the space, the same for the same seed and tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from nas.core import plugins
from nas.core.plugins import Plugin
from nas.searching.evaluate import evaluate
from nas.searching.plugin_checks import check_rows, check_strategy
from nas.searching.problem import (
    Candidates,
    Constraint,
    Metrics,
    Objective,
    Problem,
    Strategy,
    Trials,
)
from nas.searching.reward import Reward
from nas.space.file import load_space
from nas.space.space import Matrix, Space
from nas.testing.spaces import large, sample, tiny

REPEATS: set[str] = {"gp", "tpe", "nsga2", "nsga3", "cmaes", "optuna_sampler"}
"""Strategies of ours that may propose a row again; so may any strategy of others."""
EXPENSIVE: set[str] = {"gp"}
"""Those for which a proposal from many trials takes seconds; they search a tiny space."""
_OBJECTIVES = (("top1",), ("macs",), ("top1", "latency_ms"), ("top1", "macs", "params"))
_LIMITS = (("macs<=200M",), ("latency_ms<=45", "top1>=0.6"), ("macs<=1",))


@dataclass(frozen=True, kw_only=True)
class FakeEvaluator:
    """Answers with an accuracy and a latency that depend on all picks, both as if expensive.

    It raises where the first pick is `broken`, and says NaN where it is `empty`.
    """

    provides: tuple[str, ...] = ("top1", "latency_ms")
    seconds: float = 1.0
    note: str = "made up"
    broken: int = -1
    empty: int = -1

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return both metrics."""
        picks = candidates.picks.astype(float)
        first = candidates.picks[:, 0]
        if (first == self.broken).any():
            raise RuntimeError("out of order")
        total = picks @ (1 + np.arange(picks.shape[1]))
        top1 = np.where(first == self.empty, np.nan, 1 - 1 / (2 + total / 50))
        return {"top1": top1, "latency_ms": 10 + picks.sum(axis=1)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing."""
        return {}


@cache
def _costs(name: str) -> Any:
    space = tiny() if name == "tiny" else load_space(name)
    return plugins.create("evaluators", Plugin.parse("costs"), space)


def problem_of(
    space: Space, *objectives: str, limits: Sequence[str] = (), **evaluator: Any
) -> Problem:
    """Return a problem of one space, by default of accuracy and multiply-adds."""
    return Problem(
        space=space,
        evaluators=(_costs(space.name), FakeEvaluator(**evaluator)),
        objectives=tuple(Objective.parse(o) for o in objectives or ("top1", "macs")),
        limits=tuple(Constraint.parse(limit) for limit in limits),
    )


def make(text: str, problem: Problem, *, seed: int = 3) -> Strategy:
    """Return the strategy that `text` names."""
    made: Strategy = plugins.create("strategies", Plugin.parse(text), problem, seed=seed)
    return made


def search(problem: Problem, proposer: Strategy, *, asks: int = 4, count: int = 20) -> list[Trials]:
    """Ask and tell a few times, and check what comes; stop when nothing does."""
    told: list[Trials] = []
    for _ in range(asks):
        picks = check_rows(proposer.ask(count), problem.space, count=count, name="under test")
        if not len(picks):
            break
        told.append(evaluate(problem, picks, first=sum(map(len, told))))
        proposer.tell(told[-1])
    return told


def asked(told: Sequence[Trials]) -> Matrix:
    """Return all rows that were proposed."""
    return np.concatenate([trials.picks for trials in told])


def _name(text: str) -> str:
    return Plugin.parse(text).name


def _space(text: str) -> Space:
    return tiny() if _name(text) in EXPENSIVE else large()


def _size(text: str) -> Mapping[str, int]:
    """Return how much to search: less with what may be slow."""
    few = "." in _name(text) or _name(text) in REPEATS
    return {"asks": 3, "count": 4} if few else {}


def _few(text: str, count: int) -> int:
    return 1 if _name(text) in EXPENSIVE else count


def batch_is_a_number(text: str) -> None:
    """Its batch is a positive number."""
    check_strategy(make(text, problem_of(_space(text))), text)


def equal_seeds_and_tells_give_equal_asks(text: str) -> None:
    """Equal seeds and tells give equal asks."""
    problem = problem_of(_space(text))
    one, other = (asked(search(problem, make(text, problem), **_size(text))) for _ in range(2))
    assert np.array_equal(one, other), "two searches of one seed proposed different rows"


def another_seed_gives_other_asks(text: str) -> None:
    """Another seed gives other asks."""
    problem = problem_of(_space(text))
    one, other = (make(text, problem, seed=seed).ask(5) for seed in (1, 2))
    assert not np.array_equal(one, other), "seeds 1 and 2 propose the same rows"


def a_replay_continues_like_the_original(text: str) -> None:
    """A replay continues like the original, so that a search can be resumed."""
    problem, size = problem_of(_space(text)), _size(text)
    original, replayed = make(text, problem), make(text, problem)
    for trials in search(problem, original, **size):
        replayed.ask(size.get("count", 20))
        replayed.tell(trials)
    count = _few(text, 5)
    assert np.array_equal(original.ask(count), replayed.ask(count)), "the next rows differ"


def proposals_are_of_the_space(text: str) -> None:
    """Proposals are of the space, for one objective and for several."""
    for objectives in _OBJECTIVES:
        problem = problem_of(_space(text), *objectives)
        assert search(problem, make(text, problem), **_size(text)), "it proposed nothing"


def it_works_in_bundled_spaces(text: str) -> None:
    """It works in every kind of bundled space."""
    for name in ("mnasnet_b0", "mnasnet"):
        problem = problem_of(load_space(name))
        search(problem, make(text, problem), asks=3, count=4)


def it_works_on_a_reward(text: str) -> None:
    """It works on a reward."""
    problem = replace(
        problem_of(_space(text)),
        objectives=(Objective.parse("reward"),),
        reward=Reward(accuracy="top1", target=50),
    )
    told = search(problem, make(text, problem), **_size(text))
    assert all(trials.ok.all() for trials in told)


def it_works_under_limits(text: str) -> None:
    """It works under limits, also where nothing satisfies them."""
    for limits in _LIMITS:
        problem = problem_of(_space(text), limits=limits)
        told = search(problem, make(text, problem), **_size(text))
        assert sum(map(len, told)) >= 10, f"under {limits} it proposed too little"


def it_works_around_failures_and_nan(text: str) -> None:
    """It goes on where trials fail, or their metrics are NaN."""
    problem = problem_of(_space(text), broken=0, empty=1)
    told = search(problem, make(text, problem), **_size(text))
    assert {"failed"} <= set(np.concatenate([trials.status for trials in told]))


def it_works_when_everything_fails(text: str) -> None:
    """It goes on where every trial fails."""
    problem = problem_of(tiny())
    proposer = make(text, problem)
    for number in range(4):
        picks = check_rows(proposer.ask(4), problem.space, count=4, name="under test")
        blank = {"top1": np.full(len(picks), np.nan)} | dict(problem.known(picks))
        errors = {4 * number + i: "no" for i in range(len(picks))}
        status = np.full(len(picks), "failed")
        proposer.tell(
            Trials(first=4 * number, picks=picks, metrics=blank, status=status, errors=errors)
        )


def it_learns_from_trials_it_did_not_ask_for(text: str) -> None:
    """It takes trials that it did not ask for: a warm start."""
    problem = problem_of(_space(text))
    proposer = make(text, problem)
    proposer.tell(evaluate(problem, sample(problem.space, 30, seed=8)))
    search(problem, proposer, asks=3, count=_few(text, 4))


def it_may_be_asked_again_before_it_is_told(text: str) -> None:
    """It may be asked several times before it is told, and told in another order."""
    problem = problem_of(_space(text))
    proposer = make(text, problem)
    batches = [proposer.ask(_few(text, 4)) for _ in range(3)]
    for picks in reversed(batches):
        proposer.tell(evaluate(problem, picks))
    search(problem, proposer, asks=1, count=_few(text, 4))


def it_ends_or_repeats_on_a_tiny_space(text: str) -> None:
    """It ends or repeats itself where the space is used up."""
    whole = tiny()
    space = replace(whole, name="fewer", stages=whole.stages[1:])
    small = space if _name(text) == "guided" else whole
    problem = replace(problem_of(whole), space=small) if small is whole else _of(small)
    effort = _size(text) or {"asks": 1000, "count": problem.space.size // 4}
    rows = asked(search(problem, make(text, problem), **effort))
    if not _size(text):
        assert len(np.unique(rows, axis=0)) == len(rows) == problem.space.size


def _of(space: Space) -> Problem:
    costs = plugins.create("evaluators", Plugin.parse("costs"), space)
    return replace(problem_of(tiny()), space=space, evaluators=(costs, FakeEvaluator()))


def it_ends_where_limits_leave_little(text: str) -> None:
    """It proposes what limits leave, and ends, where they leave little."""
    problem = problem_of(tiny())
    grid = np.indices(tuple(tiny().widths), dtype=np.uint8).reshape(len(tiny().widths), -1).T
    macs = np.sort(problem.known(np.unique(tiny().canonical(grid), axis=0))["macs"])
    problem = problem_of(tiny(), limits=[f"macs<={macs[5]:.12g}"])
    told = search(problem, make(text, problem), **(_size(text) or {"asks": 20}))
    if not _size(text):
        assert all(trials.ok.all() for trials in told)
        assert sum(map(len, told)) == (macs <= macs[5]).sum()


CHECKS = (
    batch_is_a_number,
    equal_seeds_and_tells_give_equal_asks,
    another_seed_gives_other_asks,
    a_replay_continues_like_the_original,
    proposals_are_of_the_space,
    it_works_in_bundled_spaces,
    it_works_on_a_reward,
    it_works_under_limits,
    it_works_around_failures_and_nan,
    it_works_when_everything_fails,
    it_learns_from_trials_it_did_not_ask_for,
    it_may_be_asked_again_before_it_is_told,
    it_ends_or_repeats_on_a_tiny_space,
    it_ends_where_limits_leave_little,
)
"""In the order in which they are run."""
