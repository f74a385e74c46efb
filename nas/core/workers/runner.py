"""Runners execute tasks: in this process, in others, or on other machines.

A task is one call of a function with two arguments: the object that all tasks share (a dataset,
say), which is sent to every worker once, and the task's own. Both, and the function, must be
picklable.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nas.core import plugins
from nas.core.errors import BadFile, NasError, RunError, typed_line
from nas.core.plugins import Plugin

Work = Callable[[Any, Any], Any]
"""Called with the shared object and one task; returns what `Runner.map` yields."""


WAIT = object()
"""Drawn in the place of a task: the next task depends on results that are still missing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Takes the place of the result of a failed task, and says why it failed in one line.

    It is `fatal` if the next task would fail too: the disk is full, an image is damaged.
    """

    text: str
    fatal: bool = False


class Runner(Protocol):
    """Executes tasks, several at a time, and survives their failures."""

    @property
    def workers(self) -> int:
        """The number of tasks that run at a time."""

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of every task, from 0, and its result or `Failure`, as they finish.

        `tasks` are drawn one by one as workers become free. After a `WAIT` no task starts until the
        next result has been taken; a `WAIT` has no number, and must not come while nothing runs. A
        task that takes longer than `seconds` is ended and fails (0: no limit). If the iteration
        ends early, tasks that still run are ended too.
        """

    def close(self) -> None:
        """End all running tasks, and release all resources."""


class InProcess:
    """Executes tasks one after the other in this process; it cannot end one that hangs."""

    workers = 1

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result or `Failure` of every task, in order."""
        for number, task in enumerate(task for task in tasks if task is not WAIT):
            yield number, attempt(work, shared, task)

    def close(self) -> None:
        """Do nothing."""


def make_runner(text: str, *, workers: int) -> Runner:
    """Return the runner that `text` names; a single local worker is this process.

    Raises:
        NasError: if it or one of its options is unknown, or it cannot be created.
    """
    if workers == 1 and text == "local":
        return InProcess()
    made: Runner = plugins.create("runners", Plugin.parse(text), workers=workers)
    return made


class Lazy:
    """A runner that is created when it is first used, after other settings were checked."""

    def __init__(self, make: Callable[[], Runner]) -> None:
        """Store the function that creates the runner."""
        self._make = make
        self._made: Runner | None = None

    def _runner(self) -> Runner:
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def workers(self) -> int:
        """The workers of the runner."""
        return self._runner().workers

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield what the runner yields."""
        return self._runner().map(work, shared, tasks, seconds=seconds)

    def close(self) -> None:
        """Close the runner, if it was created."""
        if self._made is not None:
            self._made.close()


class Watched:
    """A runner that calls `after` after every task; an error in it ends the iteration.

    `busy` is the number of tasks that were drawn and are not finished.
    """

    def __init__(self, runner: Runner, after: Callable[[], None]) -> None:
        """Wrap `runner`."""
        self._runner, self._after = runner, after
        self.busy = 0

    @property
    def workers(self) -> int:
        """The workers of the wrapped runner."""
        return self._runner.workers

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield what the wrapped runner yields."""
        try:
            for number, outcome in self._runner.map(
                work, shared, self._counted(tasks), seconds=seconds
            ):
                self.busy -= 1
                yield number, outcome
                self._after()
        finally:
            self.busy = 0

    def _counted(self, tasks: Iterable[Any]) -> Iterator[Any]:
        for task in tasks:
            self.busy += task is not WAIT
            yield task

    def close(self) -> None:
        """Close the wrapped runner."""
        self._runner.close()


def outcomes(
    runner: Runner, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
) -> Iterator[tuple[int, Any]]:
    """Yield what `runner.map` yields, until a failure is fatal.

    Raises:
        RunError: at a fatal failure, with its reason.
    """
    for number, outcome in runner.map(work, shared, tasks, seconds=seconds):
        if isinstance(outcome, Failure) and outcome.fatal:
            raise RunError(outcome.text)
        yield number, outcome


def attempt(work: Work, shared: Any, task: Any) -> Any:
    """Return `work(shared, task)`, or a `Failure` if that raises."""
    try:
        return work(shared, task)
    except NasError as error:
        return Failure(str(error), fatal=isinstance(error, RunError | BadFile))
    except Exception as error:  # tasks may raise anything
        return Failure(typed_line(error))
