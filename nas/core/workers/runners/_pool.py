"""The workers of a Ray cluster, and their tasks."""

import logging
import math
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from nas.core import plugins
from nas.core.errors import NasError, typed_line
from nas.core.plugins import Folders
from nas.core.workers.join import Need, check_fits, slots
from nas.core.workers.runner import WAIT, Failure, Work, attempt
from nas.core.workers.runners._sending import check_picklable

logger = logging.getLogger(__name__)

Worker = Any
"""A handle of an `Actor` in the cluster; Ray adds its methods."""
Ref = Any
"""A reference to the result of a worker's call."""

_POLL_SECONDS = 2.0
"""How often to look for new nodes of the cluster while nothing else happens."""
_TIMEOUT_SECONDS = 60.0
"""How long to be without any worker before logging a warning."""


class Actor:
    """A worker process: it holds what all tasks have in common, and does one after the other."""

    def __init__(
        self, folders: Sequence[str] = (), found: Folders | None = None, *, gpus: bool = True
    ) -> None:
        """Append those of `folders` that exist to the module search path.

        `found` is an argument because unpickling it makes plugin packages importable. Without
        `gpus`, hide the GPUs of the node, which Ray shows to all workers.
        """
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        sys.path += [
            folder for folder in folders if folder not in sys.path and os.path.exists(folder)
        ]
        self._work: Any = None
        self._shared: Any = None

    def hold(self, work: Work, shared: Any) -> None:
        """Store the work of all further tasks, and the object that they share.

        `work` comes here, before the time of any task runs, since unpickling it imports its module.
        """
        self._work, self._shared = work, shared

    def run(self, task: Any) -> Any:
        """Return the result of a task, or its `Failure`."""
        return attempt(self._work, self._shared, task)


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """An object, and its copy in the object store of the cluster."""

    thing: Any
    ref: Ref


def _stored(thing: Any, before: _Stored | None, *, name: str) -> _Stored:
    """Return `before` if it is the same object, else put `thing` into the object store."""
    if before and before.thing is thing:
        return before
    return _Stored(thing, sent(ray.put, thing, name=name))


class WorkerPool:
    """A worker for each concurrent task; every worker holds the work and the shared object."""

    def __init__(self, *, need: Need, most: int, attempts: int) -> None:
        """Start no worker yet; at most `most` tasks will run at a time (0: all that fit)."""
        self.need, self.attempts = need, attempts
        self.idle: list[Worker] = []
        self.starting: dict[Ref, Worker] = {}
        self._most = most
        self._hired: set[Worker] = set()
        self._kind: Any = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus)(Actor)
        self._held: tuple[_Stored, ...] = ()
        self._slots, self._slots_until = 0, -math.inf

    @property
    def size(self) -> int:
        """The number of concurrent tasks: as configured, or as many as the present nodes allow."""
        if not self._most and time.monotonic() >= self._slots_until:
            self._slots, self._slots_until = slots(self.need), time.monotonic() + _POLL_SECONDS
        return self._most or max(1, self._slots)

    def share(self, work: Work, shared: Any) -> None:
        """Put both into the object store, where each node fetches them once, for all workers."""
        before = self._held or (None, None)
        held = (
            _stored(work, before[0], name="a task"),
            _stored(shared, before[1], name="what all tasks share"),
        )
        if held != before:
            self._held = held
            self.idle += self.starting.values()
            self.starting = {}
            self.check()

    def check(self) -> None:
        """Send idle workers again what they hold; dead ones will not answer."""
        while self.idle:
            self._start(self.idle.pop())

    def start_worker(self) -> None:
        """Ask the cluster for one more worker."""
        # workers that see the same files find plugins where the driver found them
        folders = [os.path.abspath(folder) for folder in sys.path]
        self._start(self._kind.remote(folders, plugins.folders(), gpus=self.need.gpus > 0))

    def _start(self, worker: Worker) -> None:
        self._hired.add(worker)
        self.starting[worker.hold.remote(*(stored.ref for stored in self._held))] = worker

    def end(self, worker: Worker) -> None:
        """End one worker, unless all have ended: Ray would start a cluster to look for it."""
        if worker in self._hired:
            self._hired.remove(worker)
            ray.kill(worker)

    def close(self) -> None:
        """End all workers."""
        hired, self._hired = self._hired, set()
        if ray.is_initialized():
            for worker in hired:
                ray.kill(worker)
        self.idle, self.starting = [], {}
        self._held = ()


@dataclass(slots=True, kw_only=True)
class _Task:
    """A task with its number, and the number of workers that were lost while running it."""

    number: int
    task: Any
    losses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A task, its worker, and its deadline."""

    task: _Task
    worker: Worker
    until: float


@dataclass(slots=True, kw_only=True)
class TaskQueue:
    """The tasks of one `map`: waiting for a worker, running, done."""

    pool: WorkerPool
    seconds: float
    waiting: deque[_Task] = field(default_factory=deque)
    running: dict[Ref, _Running] = field(default_factory=dict)
    done: deque[tuple[int, Any]] = field(default_factory=deque)
    count: int = 0
    has_more: bool = True
    failed_starts: int = 0
    without_workers_since: float = field(default_factory=time.monotonic)

    def outcomes(self, tasks: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        """Yield every outcome; new tasks are drawn once all outcomes have been taken."""
        while True:
            self._send()  # tasks drawn earlier need not wait for the caller
            while self.done:
                yield self.done.popleft()
                self.has_more = True
            self._draw(tasks)
            self._send()
            if not (self.waiting or self.running):
                return
            self._wait()

    def _draw(self, tasks: Iterator[Any]) -> None:
        """Draw as many tasks as there may be workers; the end of `tasks` is like a `WAIT`."""
        while self.has_more and len(self.waiting) + len(self.running) < self.pool.size:
            task = next(tasks, WAIT)
            self.has_more = task is not WAIT
            if self.has_more:
                self.waiting.append(_Task(number=self.count, task=task))
                self.count += 1

    def _send(self) -> None:
        """Give waiting tasks to idle workers, and request workers for the others."""
        while self.waiting and self.pool.idle:
            task, worker = self.waiting.popleft(), self.pool.idle.pop()
            ref = sent(worker.run.remote, task.task, name="a task")
            until = time.monotonic() + self.seconds if self.seconds else math.inf
            self.running[ref] = _Running(task=task, worker=worker, until=until)
        for _ in range(len(self.waiting) - len(self.pool.starting)):
            self.pool.start_worker()

    def _wait(self) -> None:
        """Wait for an event, and handle all that have occurred."""
        refs = [*self.running, *self.pool.starting]
        now = time.monotonic()
        left = min((running.until for running in self.running.values()), default=math.inf) - now
        if ray.wait(refs, timeout=max(0.0, min(left, _POLL_SECONDS)))[0]:
            for ref in ray.wait(refs, num_returns=len(refs), timeout=0)[0]:
                self._finished(ref) if ref in self.running else self._started(ref)
        self._stop_overdue()
        self._warn_without_workers()

    def _finished(self, ref: Ref) -> None:
        running = self.running.pop(ref)
        try:
            outcome: Any = ray.get(ref)
        except RayTaskError as error:
            outcome = Failure(typed_line(error.cause))
        except RayError as error:
            self._lost(running, error)
            return
        self.pool.idle.append(running.worker)
        self.done.append((running.task.number, outcome))

    def _lost(self, running: _Running, error: RayError) -> None:
        """Repeat a task whose worker was lost, unless it lost too many workers."""
        self.pool.end(running.worker)  # it may be alive but unreachable
        task = running.task
        task.losses += 1
        self.pool.check()  # others may be lost with the same node
        if isinstance(error, OutOfMemoryError):
            failure = Failure(
                "killed by Ray, since its node ran out of memory; run fewer at a time"
            )
        elif task.losses >= self.pool.attempts:
            failure = Failure(
                f"killed {task.losses} times with its worker, most likely out of memory or crashed"
            )
        else:
            self.waiting.appendleft(task)
            return
        self.done.append((task.number, failure))

    def _started(self, ref: Ref) -> None:
        """Add a worker that is ready for tasks.

        Raises:
            NasError: if workers cannot start, or fail repeatedly.
        """
        worker = self.pool.starting.pop(ref)
        try:
            ray.get(ref)
        except RayError as error:
            self.failed_starts += 1
            lost = isinstance(error, RayActorError) and not error.actor_init_failed
            if not lost or self.failed_starts > self.pool.attempts * self.pool.size:
                raise NasError(_no_start(error)) from error
            self.pool.end(worker)
            return
        self.failed_starts = 0
        self.pool.idle.append(worker)

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for ref in [ref for ref, running in self.running.items() if running.until <= now]:
            running = self.running.pop(ref)
            self.pool.end(running.worker)
            failure = Failure(f"took more than {self.seconds:g} s")
            self.done.append((running.task.number, failure))

    def _warn_without_workers(self) -> None:
        """Warn if no worker is left and none arrives."""
        if self.running or self.done or self.pool.idle:
            self.without_workers_since = time.monotonic()
        elif time.monotonic() - self.without_workers_since > _TIMEOUT_SECONDS:
            self.without_workers_since = time.monotonic()
            check_fits(self.pool.need)
            logger.warning("waiting for a node of the cluster with %s to spare", self.pool.need)

    def end(self) -> None:
        """End all tasks that still run."""
        for running in self.running.values():
            self.pool.end(running.worker)
        self.running.clear()


def sent(send: Any, *things: Any, name: str) -> Ref:
    """Return `send(*things)`.

    Raises:
        NasError: if one of `things` cannot be pickled; it names the part that cannot.
    """
    try:
        return send(*things)
    except Exception:  # a __reduce__ may raise anything
        for thing in things:
            check_picklable(thing, ray.cloudpickle.dumps, name=name)
        raise


def _no_start(error: BaseException) -> str:
    """Return why workers cannot start: the last line of a traceback."""
    line = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
    if "No module named" in line:
        line += "; install it on the cluster, or name it in a file: `runner=ray:environment=FILE`"
    return f"the workers cannot start: {line}"
