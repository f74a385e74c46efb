"""Watch a search: report its progress, write its heartbeat, end it in time."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Annotated

import numpy as np

from nas.core import data, strict_json
from nas.core.errors import BadFile, RunError
from nas.core.files import write_text
from nas.core.progress import Report
from nas.core.schema import SCHEMA, OneOf, Range, Reader, Seconds
from nas.core.storage import Place
from nas.core.text import counted
from nas.core.workers.runner import Runner, Watched
from nas.searching.config import SearchConfig
from nas.searching.session import Session

HEARTBEAT = "heartbeat.json"
SECONDS_BETWEEN_BEATS = 5.0
SLOW_SECONDS = 1.0
"""Where a candidate takes longer, the search says at once that it has begun."""
SILENT_SECONDS = 60.0
"""A search whose last heartbeat says "running" and is older has died."""

RUNNING, FINISHED, STOPPED, SPENT = "running", "finished", "stopped", "out of budget"
ProcessId = Annotated[int, Range(1, 2**31 - 1)]


class TimeLimitReached(KeyboardInterrupt):
    """The end of the time that a search was given; only the search catches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How a search was doing at `updated`, in seconds since 1970.

    `started` trials were there when it began, `seconds` ago; all searches of this run together have
    taken `spent_seconds`. `tasks` counts trainings, or evaluations by workers, so far; `busy` of
    its `workers` had a task. `state` is "running", "finished", "stopped" or "out of budget".
    """

    host: str
    pid: ProcessId
    updated: Seconds
    state: Annotated[str, OneOf((RUNNING, FINISHED, STOPPED, SPENT))]
    started: int
    trials: int
    wanted: int
    seconds: Seconds
    spent_seconds: Seconds
    tasks: int
    busy: int
    workers: int

    @property
    def left_seconds(self) -> float | None:
        """The time that is left at the rate so far; None before the first trial."""
        new = self.trials - self.started
        return self.seconds / new * (self.wanted - self.trials) if new else None


def read_heartbeat(out: Path) -> Heartbeat | None:
    """Return the last heartbeat in a run folder; None if there is none.

    Raises:
        BadFile: if it is damaged.
    """
    path = out / HEARTBEAT
    if not path.exists():
        return None
    read = Reader(path, then="; a running search writes it again")
    content = dict(data.read_mapping(path))
    del content["schema"]
    return read.record(content, Heartbeat)


@contextmanager
def open_run(out: Place) -> Iterator[None]:
    """Open a run folder to search in it; a local one has locked files.

    Raises:
        RunError: if it cannot be read or written, or another search is writing there.
    """
    if isinstance(out.kept, str):
        _check_unattended(out)
    with out.open():
        yield


def _check_unattended(out: Place) -> None:
    """Refuse a run folder with a recent heartbeat of another search."""
    with out.reading(HEARTBEAT) as folder, suppress(BadFile):  # a damaged one says nothing
        beat = read_heartbeat(folder)
        if beat and beat.state == RUNNING and _may_live(beat):
            left = SILENT_SECONDS - max(time.time() - beat.updated, -SILENT_SECONDS)
            raise RunError(
                f"{out}: another search is writing there, process {beat.pid} on {beat.host}; if "
                f"that one is dead, try again in {left:.0f} s"
            )


def _may_live(beat: Heartbeat) -> bool:
    """Return whether the process of a heartbeat may still run."""
    silent = time.time() - beat.updated
    if silent > SILENT_SECONDS:
        return False
    if beat.host != socket.gethostname() or os.name != "posix":
        return silent >= -SILENT_SECONDS  # a clock has jumped, unless a new heartbeat comes
    with suppress(PermissionError):  # of another user, and alive
        try:
            os.kill(beat.pid, 0)
        except ProcessLookupError:
            return False
    return beat.pid != os.getpid()


class Watch:
    """Reports the progress of a search, and ends it when its trials, epochs or time are used up."""

    def __init__(
        self, config: SearchConfig, runner: Runner, *, out: Path | None, progress: Report | None
    ) -> None:
        """Begin to watch, the tasks of `runner` included."""
        self._config, self._out, self._progress = config, out, progress
        self.runner = Watched(runner, self._task_done)
        self._until, self._began = inf, time.monotonic()
        self._started = self._trials = self._tasks = 0
        self._spent = 0.0

    def _spent_before(self) -> float:
        """Return the seconds that earlier searches of this run took, by the last heartbeat."""
        with suppress(BadFile):
            if self._out and (before := read_heartbeat(self._out)):
                return before.spent_seconds
        return 0.0

    @contextmanager
    def over(self, session: Session) -> Iterator[None]:
        """Count the time, that of earlier searches of this run included, and write heartbeats.

        Raises:
            BadFile: if the run folder cannot be written.
        """
        self._began = time.monotonic()
        self._spent = self._spent_before()
        if self._config.max_seconds:
            self._until = self._began + self._config.max_seconds - self._spent
        self._started = self._trials = len(session)
        ended = threading.Event()
        beats = threading.Thread(target=self._beat_until, args=(ended,), daemon=True)
        state = STOPPED
        self._beat(RUNNING)
        beats.start()
        try:
            if sum(evaluator.seconds for evaluator in session.problem.expensive) > SLOW_SECONDS:
                self._report_progress()
            with suppress(TimeLimitReached):
                yield
            state = SPENT if self.spent(session) else FINISHED
        finally:
            ended.set()
            beats.join()
            self._trials = len(session)
            with suppress(BadFile):  # where the disk is full, the journal raises
                self._beat(state)

    def _beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_BETWEEN_BEATS):
            with suppress(BadFile):  # the journal raises the same
                self._beat(RUNNING)

    def is_over(self, session: Session) -> bool:
        """Return whether the trials are done, or a budget is spent."""
        return len(session) >= self._config.trials or bool(self.spent(session))

    def spent(self, session: Session) -> str:
        """Return the setting whose budget ends the search before its trials are done, if any."""
        if len(session) >= self._config.trials:
            return ""
        if self._is_late():
            return "max_seconds"
        most = self._config.max_epochs
        return "max_epochs" if most and _epochs(session) >= most else ""

    def used(self, session: Session) -> float:
        """Return how much of the budget that is `spent` was used, which may be more than there was.

        Epochs, or seconds of all searches in the run folder; 0 where none is spent.
        """
        spent = self.spent(session)
        if spent == "max_epochs":
            return _epochs(session)
        return self._spent + time.monotonic() - self._began if spent else 0.0

    def _is_late(self) -> bool:
        return self._until < inf and time.monotonic() >= self._until

    def told(self, session: Session) -> None:
        """Report how many trials there are."""
        self._trials = len(session)
        self._report_progress()

    def _task_done(self) -> None:
        """Report that a task is done.

        Raises:
            TimeLimitReached: if the time is over.
        """
        self._tasks += 1
        self._report_progress()
        if self._is_late():
            raise TimeLimitReached

    def _report_progress(self) -> None:
        if self._progress:
            new = self._trials - self._started
            note = self._trainings() if self._tasks > new else ""
            self._progress(self._trials, self._config.trials, note)

    def _trainings(self) -> str:
        """Return how many trainings there were, and how long one takes."""
        each = (time.monotonic() - self._began) * self.runner.workers / self._tasks
        return f"{counted(self._tasks, 'training')}, {each:.3g} s each"

    def _beat(self, state: str) -> None:
        """Write the heartbeat, unless there is no run folder, or it was removed."""
        if self._out is None or not self._out.is_dir():
            return
        elapsed = time.monotonic() - self._began
        heartbeat = Heartbeat(
            host=socket.gethostname(),
            pid=os.getpid(),
            updated=time.time(),
            state=state,
            started=self._started,
            trials=self._trials,
            wanted=self._config.trials,
            seconds=round(elapsed, 3),
            spent_seconds=round(self._spent + elapsed, 3),
            tasks=self._tasks,
            busy=self.runner.busy,
            workers=self.runner.workers,
        )
        content = {"schema": SCHEMA, **asdict(heartbeat)}
        write_text(self._out / HEARTBEAT, strict_json.dumps(content) + "\n")


def _epochs(session: Session) -> float:
    """Return how many epochs were trained in all; copies train nothing."""
    trials = session.trials
    _, first = np.unique(trials.picks, axis=0, return_index=True)
    epochs = trials.metrics.get("epochs", np.zeros(len(trials)))[first]
    return float(np.nansum(epochs))
