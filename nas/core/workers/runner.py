"""Runners carry out tasks: in this process, in others, or on other machines.

A task is one call of a function with two arguments: what all tasks share (a dataset, say), which
is sent once to every worker, and its own. Functions and arguments must be picklable.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nas.core import plugins
from nas.core.errors import BadFile, NasError, RunError, typed_line
from nas.core.plugins import Plugin

Work = Callable[[Any, Any], Any]
"""Called with what all tasks share and one task; returns what `Runner.map` yields."""


WAIT = object()
"""In the place of a task: the next one depends on results that are still missing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason, in one line, in the place of the result of a task that failed.

    It is `fatal` where the next task would fail, too: the disk is full, an image is damaged.
    """

    text: str
    fatal: bool = False


class Runner(Protocol):
    """Carries tasks out, several at a time, and survives their failures."""

    @property
    def workers(self) -> int:
        """How many tasks run at a time."""

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of every task, from 0, and its result or `Failure`, as they finish.

        `tasks` are drawn one by one as workers become free. After a `WAIT` nothing begins until the
        next result was taken; it has no number, and must not come while nothing runs. A task that
        takes longer than `seconds` is ended, and is a failure (0: no limit). Tasks that still run
        when the iteration ends early are ended too.
        """

    def close(self) -> None:
        """End everything that is running, and release what is held."""


class InProcess:
    """Carries tasks out one after the other in this process; it cannot end one that hangs."""

    workers = 1

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result or `Failure` of every task, in their order."""
        for number, task in enumerate(task for task in tasks if task is not WAIT):
            yield number, attempt(work, shared, task)

    def close(self) -> None:
        """Do nothing."""


def make_runner(text: str, *, workers: int) -> Runner:
    """Return the runner that `text` names; a single local worker is this process.

    Raises:
        NasError: if it is unknown, its options are, or it cannot be had.
    """
    if workers == 1 and text == "local":
        return InProcess()
    made: Runner = plugins.create("runners", Plugin.parse(text), workers=workers)
    return made


class Lazy:
    """A runner that is made when it is first needed, after other settings were checked."""

    def __init__(self, make: Callable[[], Runner]) -> None:
        """Keep the way to make it."""
        self._make = make
        self._made: Runner | None = None

    def _runner(self) -> Runner:
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def workers(self) -> int:
        """As many as the runner has."""
        return self._runner().workers

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield what the runner does."""
        return self._runner().map(work, shared, tasks, seconds=seconds)

    def close(self) -> None:
        """Close the runner, if there is one."""
        if self._made is not None:
            self._made.close()


class Watched:
    """A runner that calls `after` after every task; what that raises ends the iteration.

    `busy` is how many tasks were drawn and are not done.
    """

    def __init__(self, runner: Runner, after: Callable[[], None]) -> None:
        """Wrap `runner`."""
        self._runner, self._after = runner, after
        self.busy = 0

    @property
    def workers(self) -> int:
        """As many as the wrapped runner has."""
        return self._runner.workers

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield what the wrapped runner does."""
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
    """Yield what `runner.map` does, up to a fatal failure.

    Raises:
        RunError: at such a failure, with its reason.
    """
    for number, outcome in runner.map(work, shared, tasks, seconds=seconds):
        if isinstance(outcome, Failure) and outcome.fatal:
            raise RunError(outcome.text)
        yield number, outcome


def attempt(work: Work, shared: Any, task: Any) -> Any:
    """Return `work(shared, task)`, or the `Failure` that says what it raised."""
    try:
        return work(shared, task)
    except NasError as error:
        return Failure(str(error), fatal=isinstance(error, RunError | BadFile))
    except Exception as error:  # whatever a task raises
        return Failure(typed_line(error))
