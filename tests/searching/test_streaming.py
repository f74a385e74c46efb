"""Streaming: workers stay busy, results come in any order, and nothing is lost or doubled."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.errors import RunError
from nas.core.plugins import Plugin, create
from nas.core.workers.runner import WAIT, Failure, Work, attempt
from nas.searching.journal import NullJournal, open_journal
from nas.searching.problem import FAILED, Problem, Trials
from nas.searching.session import Session
from nas.searching.streaming import stream

HEADER = {"space": "tiny"}
WANTED = {"guided": 19}
"""Trials of slow strategies: a few more than before their first model."""


class Shuffled:
    """A runner whose results come back in an order of its own; `spoil` replaces some of them."""

    def __init__(self, workers: int, *, seed: int = 0, spoil: dict[int, Failure] | None = None):
        self.workers, self._spoil = workers, spoil or {}
        self._rng = np.random.default_rng(seed)
        self.most = 0

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        running: list[tuple[int, Any]] = []
        drawn, count = iter(tasks), 0
        while True:
            while len(running) < self.workers and (task := next(drawn, WAIT)) is not WAIT:
                running.append((count, task))
                count += 1
            if not running:
                return
            self.most = max(self.most, len(running))
            number, task = running.pop(self._rng.integers(len(running)))
            yield number, self._spoil.get(number) or attempt(work, shared, task)

    def close(self) -> None: ...


def _session(problem: Problem, journal: Any, strategy: str = "random") -> Session:
    made = create("strategies", Plugin.parse(strategy), problem, seed=0)
    return Session(problem, made, journal, header=HEADER)


def _run(session: Session, runner: Shuffled, wanted: int = 40, **options: Any) -> None:
    for _ in stream(session, runner, wanted=wanted, over=lambda: False, **options):
        pass


def test_all_workers_have_something_to_do(problem: Problem) -> None:
    session, runner = _session(problem, NullJournal()), Shuffled(8)
    _run(session, runner)
    assert runner.most == 8
    assert (len(session), len(session.waiting)) == (40, 0)
    assert session.trials.ok.all()


def test_one_worker_gives_what_single_steps_give(problem: Problem) -> None:
    stepped, streamed = _session(problem, NullJournal()), _session(problem, NullJournal())
    while len(stepped) < 20:
        stepped.step(1)
    _run(streamed, Shuffled(1), wanted=20)
    assert np.array_equal(stepped.trials.picks, streamed.trials.picks)


@pytest.mark.parametrize("strategy", ["random", "evolution", "guided", "archive", "tpe"])
def test_the_same_order_of_results_gives_the_same_proposals(
    problem: Problem, tmp_path: Path, strategy: str
) -> None:
    found, wanted = [], WANTED.get(strategy, 40)
    for name in ("one", "two"):
        with closing(open_journal(tmp_path / name)) as journal:
            session = _session(problem, journal, strategy)
            _run(session, Shuffled(5), wanted)
            found.append([row.tobytes() for row in session.trials.picks])
    assert found[0] == found[1]
    assert len(found[0]) == wanted


@pytest.mark.parametrize("strategy", ["random", "evolution", "archive", "tpe"])
def test_results_in_turn_give_the_same_trials_in_whatever_order_they_come(
    problem: Problem, strategy: str
) -> None:
    found, free = [], []
    for seed in range(4):
        session = _session(problem, NullJournal(), strategy)
        _run(session, Shuffled(3, seed=seed), in_turn=True)
        assert (len(session), len(session.waiting)) == (40, 0)
        found.append(session.trials.picks.tobytes())
        session = _session(problem, NullJournal(), strategy)
        _run(session, Shuffled(3, seed=seed))
        free.append(session.trials.picks.tobytes())
    assert len(set(found)) == 1
    assert len(set(free)) > 1  # without, the order decides


def test_all_workers_have_something_to_do_in_turn(problem: Problem) -> None:
    session, runner = _session(problem, NullJournal()), Shuffled(8)
    _run(session, runner, in_turn=True)
    assert runner.most == 8


@pytest.mark.parametrize("cut", [0, 1, 7, 22])
def test_what_is_resumed_in_turn_gives_the_same_trials(
    problem: Problem, tmp_path: Path, cut: int
) -> None:
    whole = _session(problem, NullJournal(), "evolution")
    _run(whole, Shuffled(3), in_turn=True)
    with closing(open_journal(tmp_path / "cut")) as journal:
        begun = _session(problem, journal, "evolution")
        told = stream(begun, Shuffled(3, seed=5), wanted=40, over=lambda: False, in_turn=True)
        for _ in range(cut):
            next(told)
        told.close()  # type: ignore[attr-defined]  # a generator
    with closing(open_journal(tmp_path / "cut")) as journal:
        resumed = _session(problem, journal, "evolution")
        _run(resumed, Shuffled(3, seed=9), in_turn=True)
        assert np.array_equal(resumed.trials.picks, whole.trials.picks)


def test_failures_in_turn_fail_their_own_trials(problem: Problem) -> None:
    session = _session(problem, NullJournal())
    _run(session, Shuffled(4, spoil={3: Failure("no"), 9: Failure("no")}), in_turn=True)
    assert np.flatnonzero(session.trials.status == FAILED).tolist() == [3, 9]


@pytest.mark.parametrize(("strategy", "cuts"), [("random", 12), ("guided", 2)])
def test_a_stream_cut_anywhere_resumes_without_losing_or_doubling(
    problem: Problem, tmp_path: Path, strategy: str, cuts: int
) -> None:
    wanted = WANTED.get(strategy, 40)
    with closing(open_journal(tmp_path / "whole")) as journal:
        _run(_session(problem, journal, strategy), Shuffled(4), wanted)
    content = (tmp_path / "whole").read_bytes()
    for cut in np.random.default_rng(0).integers(0, len(content), cuts).tolist():
        path = tmp_path / str(cut)
        path.write_bytes(content[:cut])
        with closing(open_journal(path)) as journal:
            session = _session(problem, journal, strategy)
            before = session.trials.picks.copy()
            _run(session, Shuffled(3, seed=1), wanted)
            assert np.array_equal(session.trials.picks[: len(before)], before)
            assert (len(session), session.asked, len(session.waiting)) == (wanted, wanted, 0)
            rows = session.trials.picks
            assert len(np.unique(rows, axis=0)) == len(rows)


def test_a_failed_task_fails_its_trial_alone(problem: Problem) -> None:
    session = _session(problem, NullJournal())
    _run(session, Shuffled(3, spoil={4: Failure("took more than 5 s")}))
    failed = np.flatnonzero(session.trials.status == "failed")
    assert len(failed) == 1
    assert session.trials.errors == {int(failed[0]): "took more than 5 s"}
    assert np.isnan(session.trials.metrics["top1"][failed]).all()
    assert np.isfinite(session.trials.metrics["macs"]).all()


def test_a_fatal_failure_ends_the_search_and_fails_nothing(problem: Problem) -> None:
    session = _session(problem, NullJournal())
    with pytest.raises(RunError, match="no space left"):
        _run(session, Shuffled(3, spoil={4: Failure("no space left", fatal=True)}))
    assert session.trials.ok.all()
    assert session.waiting


def test_equal_candidates_are_evaluated_once(problem: Problem) -> None:
    session = _session(problem, NullJournal(), "nsga2")
    _run(session, Shuffled(1), wanted=400)
    asked = problem.evaluators[1].calls
    assert len(session) == 400
    assert sum(asked) == len(np.unique(session.trials.picks, axis=0)) < 400


class Repeating:
    """Proposes every row four times in a row, one at a time."""

    batch = 1

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.told = np.repeat(rows, 4, axis=0), []

    def ask(self, count: int) -> np.ndarray:
        given, self.rows = self.rows[:1], self.rows[1:]
        return given

    def tell(self, trials: Trials) -> None:
        self.told.append(trials)


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("again", [False, True])
def test_equal_candidates_under_way_wait_for_one_evaluation(
    problem: Problem, all_rows: np.ndarray, tmp_path: Path, workers: int, again: bool
) -> None:
    rows, calls = all_rows[::60], problem.evaluators[1].calls
    problem.evaluators[1].broken = int(rows[-1, 0])
    with closing(open_journal(tmp_path / "journal")) as journal:
        session = Session(problem, Repeating(rows), journal, header=HEADER)
        if again:  # asked for by a search that was killed before it evaluated anything
            session.ask(1), session.ask(1), session.ask(1)
    with closing(open_journal(tmp_path / "journal")) as journal:
        session = Session(problem, Repeating(rows), journal, header=HEADER)
        _run(session, Shuffled(workers), wanted=4 * len(rows))
    assert (len(session), sum(calls)) == (4 * len(rows), len(rows))
    for row in rows:
        same = (session.trials.picks == row).all(axis=1)
        assert same.sum() == 4
        assert len(set(session.trials.status[same])) == 1
    assert {"ok", "failed"} == set(session.trials.status)
    assert (session.trials.status == FAILED).sum() == len(session.trials.errors)


def test_a_strategy_that_has_no_more_ends_the_stream(problem: Problem) -> None:
    session = _session(problem, NullJournal(), "grid")
    _run(session, Shuffled(4), wanted=10_000)
    assert len(session) == 576


def test_quick_candidates_travel_together(problem: Problem) -> None:
    object.__setattr__(problem.evaluators[1], "seconds", 0.01)
    session = _session(problem, NullJournal())
    _run(session, Shuffled(2), wanted=100)
    assert max(problem.evaluators[1].calls) == 20
