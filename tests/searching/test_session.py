"""Sessions: ask, evaluate, tell; replay is the original."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import RunError
from nas.core.plugins import Plugin, create
from nas.searching.journal import NullJournal, open_journal
from nas.searching.problem import Problem, Strategy, Trials
from nas.searching.session import Session

HEADER = {"space": "tiny"}


def _strategy(problem: Problem, seed: int = 0) -> Strategy:
    return create("strategies", Plugin.parse("random"), problem, seed=seed)


class Listed:
    """Proposes given rows in batches, and records its tells."""

    batch = 4

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.told = rows, []

    def ask(self, count: int) -> np.ndarray:
        given, self.rows = self.rows[:count], self.rows[count:]
        return given

    def tell(self, trials: Trials) -> None:
        self.told.append(trials)


@contextmanager
def _opened(problem: Problem, path: Path, strategy: Strategy | None = None) -> Iterator[Session]:
    with closing(open_journal(path)) as journal:
        yield Session(problem, strategy or _strategy(problem), journal, header=HEADER)


def _same(one: Trials, other: Trials) -> bool:
    return (
        np.array_equal(one.picks, other.picks)
        and one.status.tolist() == other.status.tolist()
        and one.errors == other.errors
        and all(np.array_equal(one.metrics[n], other.metrics[n], equal_nan=True)
                for n in {*one.metrics, *other.metrics})
    )  # fmt: skip


def test_steps_number_trials_and_tell_the_strategy(problem: Problem, all_rows: np.ndarray) -> None:
    strategy = Listed(all_rows[:10])
    session = Session(problem, strategy, NullJournal(), header=HEADER)
    assert [session.step(4), session.step(4), session.step(4), session.step(4)] == [4, 4, 2, 0]
    assert [trials.first for trials in strategy.told] == [0, 4, 8]
    assert len(session) == len(session.trials) == 10
    assert session.trials.metrics["macs"].shape == (10,)


def test_an_evaluator_says_how_many_it_takes_at_once(problem: Problem) -> None:
    fake = problem.evaluators[-1]
    fake.at_once = 3  # type: ignore[attr-defined]
    session = Session(problem, _strategy(problem), NullJournal(), header={})
    assert [session.step(8) for _ in range(3)] == [3, 3, 2]
    assert (len(session), session.asked, session.waiting) == (8, 8, {})


def test_an_evaluator_says_how_many_it_takes_at_first(problem: Problem) -> None:
    fake = problem.evaluators[-1]
    fake.at_once, fake.first_at_once = 3, 1  # type: ignore[attr-defined]
    session = Session(problem, _strategy(problem), NullJournal(), header={})
    assert [session.step(8) for _ in range(4)] == [1, 3, 3, 1]


def test_equal_candidates_are_evaluated_once(problem: Problem, all_rows: np.ndarray) -> None:
    problem.evaluators[1].broken = 1
    rows = np.concatenate([all_rows[:2], all_rows[:2], all_rows[-1:], all_rows[-1:]])
    session = Session(problem, Listed(np.concatenate([rows, rows])), NullJournal(), header=HEADER)
    session.step(6)
    session.step(6)
    trials = session.trials
    asked = problem.evaluators[1].calls
    assert sum(n for n in asked if n == 1) <= 3
    assert len(asked) == 4  # one batch of three, which raises, then one by one
    assert trials.status.tolist() == (["ok"] * 4 + ["failed"] * 2) * 2
    assert trials.errors == dict.fromkeys([4, 5, 10, 11], "RuntimeError: out of order")
    assert trials.metrics["top1"][[0, 1]].tolist() == trials.metrics["top1"][[8, 9]].tolist()


def test_a_session_cut_anywhere_resumes_like_one_that_was_not(
    problem: Problem, tmp_path: Path
) -> None:
    with _opened(problem, tmp_path / "whole.jsonl") as whole:
        while len(whole) < 60:
            whole.step(10)
    content = (tmp_path / "whole.jsonl").read_bytes()
    for cut in np.random.default_rng(0).integers(0, len(content), 25).tolist():
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(content[:cut])
        with _opened(problem, path) as session:
            while len(session) < 60:
                session.step(10)
            assert _same(session.trials, whole.trials)


def test_nothing_found_is_evaluated_again(problem: Problem, tmp_path: Path) -> None:
    with _opened(problem, tmp_path / "journal.jsonl") as session:
        session.step(10)
    problem.evaluators[1].calls.clear()
    with _opened(problem, tmp_path / "journal.jsonl") as session:
        assert len(session) == 10
        assert problem.evaluators[1].calls == []
        session.step(10)
        assert problem.evaluators[1].calls == [10]


def test_proposals_without_an_answer_are_evaluated_first(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: object, candidates: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "journal.jsonl"
    with _opened(problem, path) as session, monkeypatch.context() as patch:
        patch.setattr(type(problem.evaluators[1]), "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            session.step(10)
    assert b'"ask":0' in path.read_bytes()
    with _opened(problem, path) as session:
        assert len(session) == 0
        assert session.step(3) == 10


@pytest.mark.parametrize("header", [{"choices": "other"}, {"space": "tiny", "seed": 1}])
def test_the_journal_of_another_problem_is_refused(
    problem: Problem, tmp_path: Path, header: dict[str, object]
) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    with _opened(problem, path) as session:
        session.step(5)
    content = path.read_bytes()
    with (
        closing(open_journal(path)) as journal,
        pytest.raises(RunError, match="another search: its"),
    ):
        Session(problem, _strategy(problem), journal, header=header)
    assert path.read_bytes() == content


def test_the_run_of_an_earlier_version_resumes(
    problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    was = {"evaluators": ["costs", "table:pixel1 2019 0123456789abcdef"]}
    now = {"evaluators": ["costs", "table:pixel1 2019 sha256:fedcba9876543210"]}
    with closing(open_journal(path)) as journal:
        Session(problem, _strategy(problem), journal, header=was).step(5)
    with closing(open_journal(path)) as journal:
        assert len(Session(problem, _strategy(problem), journal, header=now)) == 5
    assert "earlier version: that its latency table is the same cannot be checked" in caplog.text
    for text in ("table:pixel1 2018 sha256:fedcba9876543210", "table:pixel1 2019 other"):
        with closing(open_journal(path)) as journal, pytest.raises(RunError, match="its evalua"):
            Session(problem, _strategy(problem), journal, header={"evaluators": ["costs", text]})


def test_an_evaluator_goes_by_its_earlier_texts_too(
    problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    costs, own = (str(evaluator) for evaluator in problem.evaluators)
    problem.evaluators[1].earlier = frozenset({"older"})
    with closing(open_journal(path)) as journal:
        Session(problem, _strategy(problem), journal, header={"evaluators": [costs, "older"]})
    for text in (own, "another"):
        header = {"evaluators": [costs, text]}
        refused = pytest.raises(RunError, match="its evaluators") if text != own else nullcontext()
        with closing(open_journal(path)) as journal, refused:
            Session(problem, _strategy(problem), journal, header=header)
    assert not caplog.text


def test_a_strategy_that_proposes_otherwise_resumes_from_the_results(
    problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    with _opened(problem, path) as session:
        session.step(10)
        before = session.trials
    with caplog.at_level(logging.WARNING), _opened(problem, path, _strategy(problem, 9)) as again:
        assert _same(again.trials, before)
        again.step(10)
        assert len(again) == 20
    assert caplog.text.count("this version proposes otherwise") == 1


def test_a_damaged_journal_is_refused(problem: Problem, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with _opened(problem, path) as session:
        session.step(10)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace('"picks":"0', '"picks":"x'), ""]))
    with pytest.raises(RunError, match="line 2: damaged"), _opened(problem, path):
        pass


def test_trials_know_their_seconds(problem: Problem, all_rows: np.ndarray) -> None:
    strategy = Listed(all_rows[:8])
    session = Session(problem, strategy, NullJournal(), header=HEADER)
    session.step(4)
    session.step(4)
    seconds = [trials.seconds for trials in strategy.told]
    assert min(seconds) > 0
    assert session.trials.seconds == pytest.approx(sum(seconds))
