"""What every runner keeps to: each task is answered once, and what fails, fails alone.

The checks run on two workers. They need signals, so they are for Linux and macOS.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core import plugins
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.workers.runner import WAIT, Failure, InProcess, Runner

SHARED = {"base": 100}
_LONGEST_SECONDS = 50


def make(text: str) -> Runner:
    """Return the runner that `text` names, with two workers."""
    made: Runner = plugins.create("runners", Plugin.parse(text), workers=2)
    return made


def work(shared: dict[str, int], task: str) -> tuple[int, int]:
    """Do what `task` says; return its length plus the base, and the process."""
    what, _, argument = task.partition(" ")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError("no\nway")
    if what == "sleep":
        time.sleep(float(argument))
    if what == "touch":
        Path(argument).touch()
        time.sleep(60)
    return shared["base"] + len(task), os.getpid()


def _values(runner: Runner, tasks: Sequence[str], seconds: float = 0.0) -> dict[int, object]:
    """Return the result or failure of every task, without its process."""
    found: dict[int, object] = {}
    for number, outcome in runner.map(work, SHARED, tasks, seconds=seconds):
        assert number not in found, f"task {number} is answered twice"
        found[number] = outcome if isinstance(outcome, Failure) else outcome[0]
    return found


def every_task_is_answered_once(runner: Runner) -> None:
    """Every task is answered once, as in this process, and it has two workers."""
    tasks = [f"task {i}" for i in range(9)]
    found, wanted = _values(runner, tasks), _values(InProcess(), tasks)
    assert found == wanted, f"the answers are {found}, not {wanted}"
    assert _values(runner, []) == {}, "no task has an answer"
    assert runner.workers == 2, f"workers is {runner.workers}, not 2"


def workers_work_at_the_same_time(runner: Runner) -> None:
    """Its workers are processes of their own, which work at the same time."""
    started: set[int] = set()
    end = time.monotonic() + _LONGEST_SECONDS / 2  # some are slow to start
    while len(started) < 2 and time.monotonic() < end:
        started |= {pid for _, (_, pid) in runner.map(work, SHARED, ["sleep 0.1"] * 4)}
    done = list(runner.map(work, SHARED, ["sleep 2", "sleep 2"]))
    processes = {pid for _, (_, pid) in done} | {os.getpid()}
    assert len(processes) == 3, "two long tasks did not run in two processes"


def tasks_may_wait_for_results(runner: Runner) -> None:
    """No task is drawn after a WAIT until a result has been taken."""
    seen: list[int] = []

    def tasks() -> Iterator[object]:
        for _ in range(3):
            yield "first"
            while not seen:
                yield WAIT
            seen.clear()

    count = 0
    for number, outcome in runner.map(work, SHARED, tasks()):
        assert outcome[0] == 105, f"the answer is {outcome}"
        seen.append(number)
        count += 1
    assert count == 3, f"{count} of 3 tasks are answered"


def what_raises_fails_alone(runner: Runner) -> None:
    """A task that raises is a Failure of one line, and others are answered."""
    found = _values(runner, ["a", "raise", "b"])
    wanted = {0: 101, 1: Failure("ValueError: no"), 2: 101}
    assert found == wanted, f"the answers are {found}, not {wanted}"


def a_killed_worker_fails_its_task_alone(runner: Runner) -> None:
    """A worker that is killed fails its task alone."""
    found = _values(runner, ["a", "die", "b", "c"])
    failure = found.pop(1, None)
    assert isinstance(failure, Failure), f"task 1 is {failure}"
    assert "killed" in failure.text, f"the failure does not say that it was killed: {failure}"
    assert found == {0: 101, 2: 101, 3: 101}, f"the others are {found}"


def a_task_that_takes_too_long_is_ended(runner: Runner) -> None:
    """A task that takes longer than `seconds` is ended, and fails."""
    started = time.monotonic()
    found = _values(runner, ["sleep 60", "a", "b"], seconds=2.0)
    wanted = {0: Failure("took more than 2 s"), 1: 101, 2: 101}
    assert found == wanted, f"the answers are {found}, not {wanted}"
    assert time.monotonic() - started < _LONGEST_SECONDS, "the task was not ended"


def what_cannot_be_sent_is_refused(runner: Runner) -> None:
    """What cannot be pickled is refused with a NasError, and the runner still works."""
    lock = threading.Lock()
    for shared, tasks in (({"base": [0, lock]}, ["a"]), (SHARED, [{"deep": lock}])):
        said = ""
        try:
            list(runner.map(work, shared, tasks))
        except NasError as error:
            said = str(error)
        assert said, "a lock was sent to a worker"
        assert "a lock" in said, f"the error does not name what it is: {said}"
    assert _values(runner, ["a"]) == {0: 101}, "it does not work afterwards"


def what_runs_is_ended_with_the_iteration(runner: Runner) -> None:
    """Tasks that run when the iteration ends are ended, too."""
    with TemporaryDirectory() as folder:
        began = Path(folder) / "began"
        results: Any = runner.map(work, SHARED, ["a", f"touch {began}"])
        next(results)
        while not began.exists():
            time.sleep(0.05)
        results.close()
    assert _values(runner, ["a", "b"]) == {0: 101, 1: 101}, "it does not work afterwards"


ON_A_RUNNER = (
    every_task_is_answered_once,
    workers_work_at_the_same_time,
    tasks_may_wait_for_results,
    what_raises_fails_alone,
    a_killed_worker_fails_its_task_alone,
    a_task_that_takes_too_long_is_ended,
    what_cannot_be_sent_is_refused,
    what_runs_is_ended_with_the_iteration,
)
"""The checks, of a runner that is there; in the order in which they are run."""


def _by_text(check: Callable[[Runner], None]) -> Callable[[str], None]:
    """Return a check of the runner that a text names, which is closed afterwards."""

    @wraps(check)
    def checked(text: str) -> None:
        with closing(make(text)) as runner:
            check(runner)

    return checked


CHECKS = tuple(map(_by_text, ON_A_RUNNER))
"""The same, of a runner by its text."""
