"""Watching a search: the heartbeat in its folder, and the time over several starts."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.core.errors import BadFile, RunError
from nas.core.storage import Place
from nas.core.workers.runner import InProcess
from nas.searching.config import SearchConfig
from nas.searching.runs.watch import HEARTBEAT, Watch, _check_unattended, read_heartbeat


class Session:
    trials = SimpleNamespace(seconds=0.0)
    problem = SimpleNamespace(expensive=())

    def __len__(self) -> int:
        return 3


def _watch(out: Path) -> Watch:
    return Watch(SearchConfig(trials=9), InProcess(), out=out, progress=None)


def test_the_time_of_all_starts_is_counted(tmp_path: Path) -> None:
    spent = []
    for _ in range(2):
        with _watch(tmp_path).over(Session()):  # type: ignore[arg-type]
            time.sleep(0.05)
        beat = read_heartbeat(tmp_path)
        assert beat is not None
        spent.append(beat.spent_seconds)
    assert (beat.state, beat.trials, beat.wanted) == ("finished", 3, 9)
    assert min(spent[0], beat.seconds) >= 0.05
    assert spent[1] == pytest.approx(spent[0] + beat.seconds, abs=0.002)


def test_a_budget_of_time_that_is_used_up_is_named(tmp_path: Path) -> None:
    config, session = SearchConfig(trials=9, max_seconds=1), Session()
    watch = Watch(config, InProcess(), out=tmp_path, progress=None)
    with watch.over(session):  # type: ignore[arg-type]
        assert (watch.spent(session), watch.is_over(session)) == ("", False)  # type: ignore[arg-type]
        watch._until = 0.0
        assert (watch.spent(session), watch.is_over(session)) == ("max_seconds", True)  # type: ignore[arg-type]
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert beat.state == "out of budget"


def test_a_slow_search_says_at_once_that_it_has_begun(tmp_path: Path) -> None:
    session, said = Session(), []
    session.problem = SimpleNamespace(expensive=(SimpleNamespace(seconds=60.0),))
    report = lambda *told: said.append(told)  # noqa: E731
    with Watch(SearchConfig(trials=9), InProcess(), out=None, progress=report).over(session):  # type: ignore[arg-type]
        assert said == [(3, 9, "")]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_fills_up_is_not_the_heartbeats_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def full(path: Path, text: str) -> None:
        tries.append(threading.current_thread().name)
        if threading.current_thread() is not threading.main_thread():
            raise BadFile(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("nas.searching.runs.watch.SECONDS_BETWEEN_BEATS", 0.001)
    monkeypatch.setattr("nas.searching.runs.watch.write_text", full)
    with _watch(tmp_path).over(Session()):  # type: ignore[arg-type]
        for _ in range(5000):
            if len(tries) >= 4:
                break
            time.sleep(0.001)
    assert len(tries) >= 5  # it keeps trying, and the search itself writes the last heartbeat


@pytest.mark.parametrize(("ahead", "blocked"), [(-5, True), (5, True), (-500, False), (500, False)])
def test_word_from_a_clock_that_was_ahead_blocks_no_search(
    ahead: float, blocked: bool, tmp_path: Path
) -> None:
    with _watch(tmp_path).over(Session()):  # type: ignore[arg-type]
        pass
    path = tmp_path / HEARTBEAT
    beat = json.loads(path.read_text()) | {"state": "running", "host": "another"}
    path.write_text(json.dumps(beat | {"updated": time.time() + ahead}))
    place = Place(tmp_path.as_uri())
    with pytest.raises(RunError, match="try again in") if blocked else nullcontext():
        _check_unattended(place)


@pytest.mark.skipif(os.name != "posix", reason="asks for processes as POSIX has them")
@pytest.mark.parametrize("ahead", [-5, 5, 3600])
def test_a_writer_of_this_machine_blocks_while_it_lives_whatever_the_clock_says(
    ahead: float, tmp_path: Path
) -> None:
    with _watch(tmp_path).over(Session()):  # type: ignore[arg-type]
        pass
    path = tmp_path / HEARTBEAT
    beat = json.loads(path.read_text()) | {"state": "running", "updated": time.time() + ahead}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    place = Place(tmp_path.as_uri())
    for pid, blocked in ((os.getppid(), True), (dead.pid, False), (os.getpid(), False)):
        path.write_text(json.dumps(beat | {"pid": pid}))
        with pytest.raises(RunError, match=r"try again in \d+ s") if blocked else nullcontext():
            _check_unattended(place)
