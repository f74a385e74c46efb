"""The status of a search, while it runs and afterwards."""

import json
from pathlib import Path

import pytest
from small_search import search

from nas.core.errors import NasError
from nas.searching.runs.status import read_status
from nas.searching.runs.watch import HEARTBEAT


@pytest.fixture
def out(tmp_path: Path) -> Path:
    search(trials=40, strategy="random", limit="latency_ms<=120", batch=10, out=tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_search_says_what_became_of_it(out: Path) -> None:
    status = read_status(out)
    assert (status.state, status.wanted, status.waiting) == ("finished", 40, 0)
    assert sum(status.counts.values()) == status.counts["ok"] == 40
    assert status.best["latency_ms"] <= 120
    assert status.heartbeat is not None
    assert status.heartbeat.left_seconds == 0


def test_a_running_search_is_read_in_the_middle_of_a_line(out: Path) -> None:
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    before = journal.read_bytes()
    status = read_status(out)
    assert (sum(status.counts.values()), status.waiting) == (10, 10)
    assert journal.read_bytes() == before


def test_a_search_that_went_silent_is_lost(out: Path) -> None:
    beat = json.loads((out / HEARTBEAT).read_text())
    beat |= {"state": "running", "trials": 10, "seconds": 30.0}
    (out / HEARTBEAT).write_text(json.dumps(beat))
    soon, late, ahead = (read_status(out, now=beat["updated"] + s) for s in (5.0, 500.0, -500.0))
    assert (soon.state, late.state, ahead.state) == ("running", "lost", "lost")
    assert ahead.silent_seconds == pytest.approx(-500.0)
    assert soon.heartbeat is not None
    assert soon.heartbeat.left_seconds == pytest.approx(90.0)
    assert late.silent_seconds == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": "long"}, ": seconds must be a number from 0 to .*, not 'long'; a running"),
        ({"seconds": []}, r"seconds must be a number from 0 to .*, not \[\]"),
        ({"trials": 10**30}, "trials must be a whole number of at most"),
        ({"trials": -1}, "trials must be a whole number >= 0, not -1"),
        ({"pid": 2**40}, "pid must be a whole number from 1 to"),
        (
            {"state": "asleep"},
            "state must be one of running, finished, stopped, out of budget, not 'asleep'",
        ),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"updated": float("nan")}, "NaN is not JSON"),
    ],
)
def test_a_heartbeat_that_makes_no_sense_is_named(
    change: dict[str, object], message: str, out: Path
) -> None:
    beat = json.loads((out / HEARTBEAT).read_text())
    (out / HEARTBEAT).write_text(json.dumps(beat | change))
    with pytest.raises(NasError, match=f"heartbeat.json.*{message}"):
        read_status(out)


def test_no_heartbeat_is_no_error_and_a_damaged_one_is(out: Path) -> None:
    (out / HEARTBEAT).write_text("{")
    with pytest.raises(NasError, match=r"heartbeat\.json, line 1: "):
        read_status(out)
    (out / HEARTBEAT).unlink()
    assert read_status(out).state == "unknown"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="is not a run folder"):
        read_status(tmp_path)
