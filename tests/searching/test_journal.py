"""The journal: a kill at any byte, and refusals."""

import json
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import RunError
from nas.core.jsonl import line_reader, parse
from nas.searching.evaluate import evaluate
from nas.searching.journal import (
    Ask,
    NullJournal,
    Tell,
    _told,
    ask_record,
    events,
    open_journal,
    tell_record,
)
from nas.searching.problem import Objective, Problem
from nas.space.space import Space


def _records(problem: Problem, rows: np.ndarray) -> list[dict[str, object]]:
    records: list[dict[str, object]] = [{"schema": 1}]
    for first in range(0, len(rows), 3):
        picks = rows[first : first + 3]
        trials = evaluate(problem, picks, first=first)
        records += [dict(ask_record(first, 3, picks)), dict(tell_record(trials))]
    return records


@pytest.fixture
def path(problem: Problem, all_rows: np.ndarray, tmp_path: Path) -> Path:
    """Return a journal of nine trials, three of them failed."""
    problem.evaluators[1].broken = 1
    path = tmp_path / "run" / "journal.jsonl"
    with closing(open_journal(path)) as journal:
        for record in _records(problem, all_rows[[0, 1, 2, -3, -2, -1, 3, 4, 5]]):
            journal.append(record)
    return path


def test_what_was_appended_is_read_back(path: Path, problem: Problem, tiny: Space) -> None:
    with closing(open_journal(path)) as journal:
        found = list(events(journal.records, tiny.widths, source="x"))
    assert [type(event) for event in found] == [Ask, Tell] * 3
    asked, told = found[2], found[3].trials
    assert found[3].proposals == (3, 4, 5)
    assert (asked.first, asked.wanted) == (3, 3)
    again = evaluate(problem, asked.picks, first=3)
    assert np.array_equal(told.picks, again.picks)
    assert told.status.tolist() == again.status.tolist() == ["failed"] * 3
    assert told.errors == again.errors
    for name, values in again.metrics.items():
        assert np.array_equal(told.metrics[name], values, equal_nan=True)


def test_truncation_at_every_byte_of_the_last_line_is_recovered(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    whole = content[: -len(lines[-1])]
    for cut in range(len(whole) + 1, len(content)):
        path.write_bytes(content[:cut])
        caplog.clear()
        with caplog.at_level(logging.WARNING), closing(open_journal(path)) as journal:
            assert len(journal.records) == len(lines) - 1
        assert "dropped a last line that was not finished" in caplog.text
        assert path.read_bytes() == whole


def test_what_follows_a_dropped_line_is_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])
    with closing(open_journal(path)) as journal:
        journal.append({"tell": 1})
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"tell": 1}


def test_a_journal_killed_in_its_first_line_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"schema":1,"spa')
    with closing(open_journal(path)) as journal:
        assert journal.records == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: b"[1, 2]",
        lambda line: b"",
        lambda line: b"\0" * len(line),
        lambda line: b"\xff\xfe" + line,
    ],
)
def test_a_damaged_line_in_the_middle_is_named(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[2] = damage(lines[2])
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RunError, match=r"journal\.jsonl, line 3: damaged"):
        open_journal(path)
    assert path.read_bytes() == b"\n".join(lines)  # nothing is thrown away


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (2, {"picks": "zz"}),
        (2, {"picks": "00"}),
        (2, {"picks": "ff" * 24}),
        (2, {"picks": 5}),
        (2, {"ask": 1}),
        (2, {"wanted": None}),
        (2, {"more": 1}),
        (2, {"wanted": 0}),
        (2, {"wanted": 2**63}),
        (3, {"tell": 3}),
        (3, {"status": "oo"}),
        (3, {"status": "xyz"}),
        (3, {"metrics": {"top1": [0.5]}}),
        (3, {"metrics": {"top1": ["a", "b", "c"]}}),
        (3, {"metrics": []}),
        (3, {"errors": None}),
        (3, {"errors": {"9": "x"}}),
        (3, {"errors": {"0": 1}}),
        (3, {"seconds": []}),
        (3, {"seconds": 10**400}),
        (3, {"seconds": float("nan")}),
        (3, {"proposals": [0, 1, 1]}),
        (3, {"proposals": [0, 1, 7]}),
        (3, {"metrics": {"top1": [0.5, 0.5, 10**400]}}),
        (3, {"metrics": {"top1": [0.5, 0.5, True]}}),
        (4, {"ask": 0}),
    ],
)
def test_a_record_that_makes_no_sense_is_named(
    path: Path, tiny: Space, line: int, change: dict[str, object]
) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    records[line - 1] = {**records[line - 1], **change}
    with pytest.raises(RunError, match=f"x, line {line}: damaged"):
        list(events(records, tiny.widths, source="x"))


def test_the_last_value_of_a_choice_is_a_pick_and_one_more_is_not(tiny: Space) -> None:
    last = (tiny.widths - 1).astype(np.uint8)
    good = {"ask": 0, "wanted": 1, "picks": last.tobytes().hex()}
    (ask,) = events([{}, good], tiny.widths, source="j")
    assert ask.picks.tolist() == [last.tolist()]  # type: ignore[union-attr]
    for column in range(len(last)):
        beyond = last.copy()
        beyond[column] += 1
        bad = {**good, "picks": beyond.tobytes().hex()}
        with pytest.raises(RunError, match="j, line 2: damaged"):
            list(events([{}, bad], tiny.widths, source="j"))


@pytest.mark.parametrize(
    ("metric", "value", "message"),
    [
        (
            "top1",
            inf,
            r"is inf, but top1 must be a fraction \(a number from -0.5 to 1.5\); fix",
        ),
        (
            "top1",
            75.2,
            r"is 75.2, but top1 must be a fraction \(a number from -0.5 to 1.5\); fix",
        ),
        (
            "macs",
            -inf,
            r"is -inf, but macs must be a finite number; fix the evaluator and begin",
        ),
    ],
)
def test_what_an_objective_cannot_have_is_reported_with_its_place(
    path: Path, tiny: Space, metric: str, value: float, message: str
) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    records[2] = {**records[2], "metrics": {metric: [0.5, 0.5, value]}}
    with pytest.raises(RunError, match=rf"^x, line 3: metrics\.{metric}\.2 {message}"):
        list(events(records, tiny.widths, source="x", needed=[metric]))


def test_a_metric_that_is_no_objective_may_have_any_value(
    problem: Problem, all_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"score": np.full(3, 0.5), "top1": np.array([75.2, inf, 0.5])}
    kind = type(problem.evaluators[1])
    monkeypatch.setattr(kind, "__call__", lambda self, _: answer)
    problem.evaluators[1].provides = ("score", "top1")
    problem = replace(problem, objectives=(Objective.parse("max:score"),), limits=())
    trials = evaluate(problem, all_rows[:3])
    assert trials.ok.all()
    records = [{}, ask_record(0, 3, all_rows[:3]), tell_record(trials)]
    (found,) = list(events(records, problem.space.widths, source="x", needed=["score"]))[1:]
    assert isinstance(found, Tell)
    assert found.trials.ok.all()
    assert np.array_equal(found.trials.metrics["top1"], [75.2, np.nan, 0.5], equal_nan=True)


def test_infinity_that_no_objective_has_is_read_as_no_number(path: Path, tiny: Space) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    records[2] = {**records[2], "metrics": {"top1": [0.5] * 3, "more": [1, inf, None]}}
    tell = list(events(records, tiny.widths, source="x", needed=["top1"]))[1]
    assert isinstance(tell, Tell)
    assert np.array_equal(tell.trials.metrics["more"], [1, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(("wanted", "read"), [(10**6, 10**6), (2 * 10**6, 10**6), (2**40, 10**6)])
def test_a_huge_ask_is_read_without_asking_for_as_much(
    path: Path, tiny: Space, wanted: int, read: int
) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    ask = next(events([{}, {**records[1], "wanted": wanted}], tiny.widths, source="x"))
    assert isinstance(ask, Ask)
    assert ask.wanted == read


def test_a_tell_costs_what_it_holds_not_what_waits(path: Path, tiny: Space) -> None:
    class Waiting(dict[int, np.ndarray]):
        def __iter__(self) -> Iterator[int]:
            raise AssertionError("all that waits was gone through")

    records, _ = parse(path.read_bytes(), source="x")
    ask = next(events(records, tiny.widths, source="x"))
    assert isinstance(ask, Ask)
    waiting = Waiting(enumerate(ask.picks))
    tell = _told(line_reader("x", 3), records[2], 0, waiting, ())
    assert tell.proposals == (0, 1, 2)


def test_a_trial_that_is_ok_has_its_objectives(path: Path, tiny: Space) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    assert list(events(records, tiny.widths, source="x", needed=["top1", "macs"]))
    metrics = records[2]["metrics"] | {"top1": [0.5, None, 0.5]}
    records[2] = {**records[2], "metrics": metrics}
    assert list(events(records, tiny.widths, source="x", needed=["macs"]))
    with pytest.raises(RunError, match="line 3: damaged: a trial is ok without a number for top1"):
        list(events(records, tiny.widths, source="x", needed=["top1", "macs"]))


def test_infinity_of_a_failed_trial_is_read_as_no_number(path: Path, tiny: Space) -> None:
    path.write_bytes(path.read_bytes().replace(b"null", b"-Infinity"))  # as older versions had it
    records, _ = parse(path.read_bytes(), source="x")
    tells = [event for event in events(records, tiny.widths, source="x") if isinstance(event, Tell)]
    assert np.isnan(tells[1].trials.metrics["top1"]).all()
    assert tell_record(tells[1].trials)["metrics"]["top1"] == [None] * 3


def test_records_out_of_their_place_are_named(path: Path, tiny: Space) -> None:
    records, _ = parse(path.read_bytes(), source="x")
    for wrong in ([0, 2], [0, 1, 1], [0, 1, 2, 2], [0, 1, 2, 5]):
        with pytest.raises(RunError, match=f"x, line {len(wrong)}: damaged"):
            list(events([records[i] for i in wrong], tiny.widths, source="x"))


def test_a_second_writer_is_refused(path: Path) -> None:
    with closing(open_journal(path)), pytest.raises(RunError, match="another search is writing"):
        open_journal(path)
    open_journal(path).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/run/journal\.jsonl: "):
        open_journal(tmp_path / "file" / "run" / "journal.jsonl")
    with pytest.raises(RunError, match="cannot write /proc/"):
        open_journal(Path("/proc/run/journal.jsonl"))


_FILL = """
import sys
from pathlib import Path
from nas.core.errors import RunError
from nas.searching.journal import open_journal
journal = open_journal(Path(sys.argv[1]))
try:
    for i in range(100):
        journal.append({"number": i})
except RunError as error:
    print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=limit,
    )
    assert "everything before is kept" in done.stdout
    records, end = parse(path.read_bytes(), source="x")
    assert [r["number"] for r in records] == list(range(len(records)))
    assert 0 < end == path.stat().st_size <= 100


def test_no_journal_remembers_nothing() -> None:
    journal = NullJournal()
    journal.append({"ask": 0})
    journal.close()
    assert journal.records == []
