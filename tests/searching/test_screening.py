"""Screening: proposals, tells, and its benefit."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from nas.core.plugins import Plugin, create
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.journal import NullJournal, open_journal
from nas.searching.pareto import hypervolume
from nas.searching.problem import (
    Candidates,
    Constraint,
    Metrics,
    Objective,
    Problem,
    Strategy,
    Trials,
)
from nas.searching.screening import INITIAL, Screened
from nas.searching.session import Session
from nas.space.file import load_space
from nas.space.space import Matrix, Space

OPTUNA = pytest.param("nsga2", marks=pytest.mark.slow)
QUICK = ("random", "grid", "evolution", "archive", "guided")


@dataclass(frozen=True, kw_only=True)
class FakeEvaluator:
    """An accuracy that grows with some picks and falls with others, as expensive as a training."""

    provides: tuple[str, ...] = ("top1",)
    seconds: float = 60.0
    note: str = ""
    broken: int = -1

    def __call__(self, candidates: Candidates) -> Metrics:
        picks = candidates.picks.astype(float)
        if (candidates.picks[:, 0] == self.broken).any():
            raise RuntimeError("out of order")
        weights = np.random.default_rng(2).normal(0, 1, picks.shape[1])
        return {"top1": 0.7 + np.tanh(picks @ weights / 20) / 5}

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}

    def __str__(self) -> str:
        return "fake"


@dataclass
class Spy:
    """A random strategy that records its asks and tells."""

    inner: Strategy
    asked: list[int] = field(default_factory=list)
    proposed: list[Matrix] = field(default_factory=list)
    told: list[Trials] = field(default_factory=list)
    batch: int = 1000

    def ask(self, count: int) -> Matrix:
        self.asked.append(count)
        self.proposed.append(self.inner.ask(count))
        return self.proposed[-1]

    def tell(self, trials: Trials) -> None:
        self.told.append(trials)
        self.inner.tell(trials)


def problem_of(space: Space, *limits: str, objectives: tuple[str, ...] = ("top1", "macs"),
               broken: int = -1) -> Problem:  # fmt: skip
    return Problem(
        space=space,
        evaluators=(create_costs(space), FakeEvaluator(broken=broken)),
        objectives=tuple(Objective.parse(text) for text in objectives),
        limits=tuple(Constraint.parse(text) for text in limits),
    )


def strategy(name: str, problem: Problem, seed: int = 0) -> Strategy:
    made: Strategy = create("strategies", Plugin.parse(name), problem, seed=seed)
    return made


def screened(name: str, problem: Problem, *, times: int = 6, seed: int = 0) -> Screened:
    return Screened(strategy(name, problem, seed), problem, times=times, seed=seed)


def run(problem: Problem, proposer: Strategy, count: int) -> Trials:
    session = Session(problem, proposer, NullJournal(), header={})
    while len(session) < count and session.step(min(proposer.batch, 10, count - len(session))):
        pass
    return session.trials


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(load_space("mobilenetv3"), "macs<=400M")


def test_it_screens_only_once_there_is_a_model(problem: Problem) -> None:
    spy = Spy(strategy("random", problem))
    proposer = Screened(spy, problem, times=7, seed=0)
    assert proposer.batch == 10
    trials = run(problem, proposer, 50)
    assert spy.asked == [10, 10, 70, 70, 70]
    assert INITIAL in range(11, 21)
    assert np.array_equal(np.concatenate([t.picks for t in spy.told]), trials.picks)


def test_what_is_not_taken_waits_for_the_next_model(problem: Problem) -> None:
    spy = Spy(strategy("random", problem))
    proposer = Screened(spy, problem, times=20, seed=0)
    trials = run(problem, proposer, 90)
    sizes = np.cumsum([len(rows) for rows in spy.proposed])
    place = {row.tobytes(): i for i, row in enumerate(np.concatenate(spy.proposed))}
    came_from = np.searchsorted(sizes, [place[row.tobytes()] for row in trials.picks], "right")
    asked_in = np.arange(90) // 10
    assert (came_from <= asked_in).all()
    assert (came_from[20:] < asked_in[20:]).sum() >= 5
    assert len(np.unique(trials.picks, axis=0)) == 90


@pytest.mark.parametrize("name", [*QUICK, "nsga2"])
def test_equal_seeds_and_tells_give_equal_asks(name: str, problem: Problem) -> None:
    one, other = (run(problem, screened(name, problem), 40) for _ in range(2))
    assert np.array_equal(one.picks, other.picks)
    assert (one.picks < problem.space.widths).all()
    assert np.array_equal(one.picks, problem.space.canonical(one.picks))


def test_another_seed_gives_other_asks(problem: Problem) -> None:
    trials = run(problem, strategy("random", problem), 40)
    asks = []
    for seed in (1, 2):
        proposer = Screened(Spy(strategy("random", problem)), problem, times=6, seed=seed)
        proposer.tell(trials)
        asks.append(proposer.ask(10))
    assert not np.array_equal(*asks)


@pytest.mark.parametrize("name", ["evolution", OPTUNA])
def test_a_journal_replays_to_the_same_search(
    name: str, problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(problem, screened(name, problem), 60)
    for stop in (30, 60):  # the second round proposes what the first one left
        journal = open_journal(tmp_path / "journal.jsonl")
        session = Session(problem, screened(name, problem), journal, header={})
        while len(session) < stop:
            session.step(10)
        journal.close()
    assert np.array_equal(session.trials.picks, whole.picks)
    assert "proposes otherwise" not in caplog.text


@pytest.mark.parametrize("name", [*QUICK, OPTUNA])
def test_it_works_around_failures_limits_and_a_single_objective(name: str) -> None:
    space = load_space("mobilenetv3")
    for problem in (
        problem_of(space, broken=0),
        problem_of(space, "top1>=0.72", "macs<=300M"),
        problem_of(space, objectives=("top1",)),
        problem_of(space, objectives=("top1", "macs", "params")),
    ):
        trials = run(problem, screened(name, problem), 30)
        assert len(trials) == 30
        assert trials.ok.any()


def test_an_ask_may_come_before_the_last_tell(problem: Problem) -> None:
    proposer = screened("evolution", problem)
    proposer.tell(evaluate(problem, problem.space.sample_matrix(np.random.default_rng(0), 30)))
    batches = [proposer.ask(5) for _ in range(3)]
    assert len(np.unique(np.concatenate(batches), axis=0)) == 15
    for rows in reversed(batches):
        proposer.tell(evaluate(problem, rows))
    assert len(proposer.ask(5)) == 5


@pytest.mark.parametrize("name", ["random", "evolution", "archive"])
def test_a_small_space_is_searched_to_its_end(name: str, tiny: Space, all_rows: Matrix) -> None:
    problem = problem_of(tiny)
    trials = run(problem, screened(name, problem), 10_000)
    assert len(trials) == len(np.unique(trials.picks, axis=0)) == len(all_rows)


def test_a_strategy_that_repeats_itself_is_not_cut_short(tiny: Space) -> None:
    problem = problem_of(replace(tiny, stages=tiny.stages[:1]))
    assert len(run(problem, screened("nsga2", problem), 60)) == 60


@pytest.mark.parametrize("name", ["random", "evolution"])
def test_it_beats_the_same_search_without_it(name: str, problem: Problem) -> None:
    reference = np.array([-0.6, 4e8])

    def volume(proposer: Strategy) -> float:
        trials = run(problem, proposer, 80)
        return hypervolume(problem.scores(trials.metrics)[trials.ok], reference)

    for seed in range(3):
        plain = volume(strategy(name, problem, seed))
        assert volume(screened(name, problem, times=16, seed=seed)) > 1.02 * plain
