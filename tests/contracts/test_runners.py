"""The contract of runners: whatever lies in the folder, with two workers."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.core import plugins
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.workers.runner import WAIT, Failure, InProcess, Runner

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from fakes.tasks import work

DATA = sys.path[0]
"""Processes on this machine are told of it, Ray's read PYTHONPATH."""
NAMES = [
    pytest.param(name, marks=pytest.mark.cluster) if name == "ray" else name
    for name in plugins.available("runners")
]


@pytest.fixture(params=NAMES, scope="module")
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    if request.param == "ray":
        pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([DATA, os.environ.get("PYTHONPATH", "")]))
        plugin = Plugin.parse(request.param)
        made: Runner = plugins.create("runners", plugin, workers=2)
        yield made
        made.close()


SHARED = {"base": 100}


def _values(runner: Runner, tasks: list[str], seconds: float = 0.0) -> dict[int, object]:
    found = runner.map(work, SHARED, tasks, seconds=seconds)
    return {n: out if isinstance(out, Failure) else out[0] for n, out in found}


def test_every_task_is_answered_once_as_in_process(runner: Runner) -> None:
    tasks = [f"task {i}" for i in range(9)]
    assert _values(runner, tasks) == _values(InProcess(), tasks)
    assert _values(runner, []) == {}
    assert runner.workers == 2


def test_workers_are_other_processes_that_work_at_the_same_time(runner: Runner) -> None:
    list(runner.map(work, SHARED, ["warm"] * 4))
    done = list(runner.map(work, SHARED, ["sleep 2", "sleep 2"]))
    assert len({pid for _, (_, pid) in done} | {os.getpid()}) == 3


def test_tasks_may_wait_for_results(runner: Runner) -> None:
    seen: list[int] = []

    def tasks() -> Iterator[object]:
        for _ in range(3):
            yield "first"
            while not seen:
                yield WAIT
            seen.clear()

    for number, outcome in runner.map(work, SHARED, tasks()):
        assert outcome[0] == 105
        seen.append(number)
    assert seen in ([], [2])


def test_what_raises_fails_alone(runner: Runner) -> None:
    found = _values(runner, ["a", "raise", "b"])
    assert found == {0: 101, 1: Failure("ValueError: no"), 2: 101}


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_killed_worker_fails_its_task_alone(runner: Runner) -> None:
    found = _values(runner, ["a", "die", "b", "c"])
    failure = found.pop(1)
    assert isinstance(failure, Failure)
    assert "killed" in failure.text
    assert found == {0: 101, 2: 101, 3: 101}


def test_a_task_that_takes_too_long_is_ended(runner: Runner) -> None:
    started = time.monotonic()
    found = _values(runner, ["sleep 60", "a", "b"], seconds=2.0)
    assert found == {0: Failure("took more than 2 s"), 1: 101, 2: 101}
    assert time.monotonic() - started < 50


def test_what_cannot_travel_is_refused(runner: Runner) -> None:
    lock, why = threading.Lock(), r"cannot be sent to workers \(TypeError: cannot pickle '_thread"
    with pytest.raises(NasError, match=rf"share\['base'\]\[1\], a lock, {why}"):
        list(runner.map(work, {"base": [0, lock]}, ["a"]))
    with pytest.raises(NasError, match=rf"a task.*, a lock, {why}"):
        list(runner.map(work, SHARED, [{"deep": lock}]))
    assert _values(runner, ["a"]) == {0: 101}


def test_what_runs_is_ended_with_the_iteration(runner: Runner, tmp_path: Path) -> None:
    results = runner.map(work, SHARED, ["a", f"touch {tmp_path / 'began'}"])
    next(results)
    while not (tmp_path / "began").exists():
        time.sleep(0.05)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert _values(runner, ["a", "b"]) == {0: 101, 1: 101}
