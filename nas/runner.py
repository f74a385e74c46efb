"""What carries tasks out: in this process, in others, or on other machines.

A task is one call of a function with two arguments: what all tasks share (a dataset, say), which
travels once to whoever works, and what is its own. Functions and arguments must be picklable.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nas.errors import NasError, RunError

Work = Callable[[Any, Any], Any]
"""Called with what all tasks share and one task; returns what `Runner.map` yields."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What takes the place of a result where a task failed: the reason, in one line.

    It is `fatal` where the next task would fare no better: the disk is full, say.
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

        `tasks` are drawn one by one as workers become free. A task that takes longer than `seconds`
        is ended, and is a failure (0: it may take for ever). Whatever is still running when the
        iteration ends early is ended too.
        """

    def close(self) -> None:
        """End whatever is running, and let go of what is held."""


class InProcess:
    """Carries tasks out one after the other, where it is asked; it cannot end one that hangs."""

    workers = 1

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result or `Failure` of every task, in their order."""
        for number, task in enumerate(tasks):
            yield number, attempt(work, shared, task)

    def close(self) -> None:
        """Do nothing."""


class Watched:
    """A runner that calls `after` behind every task; what that raises ends the iteration."""

    def __init__(self, runner: Runner, after: Callable[[], None]) -> None:
        """Wrap `runner`."""
        self._runner, self._after = runner, after

    @property
    def workers(self) -> int:
        """As many as the wrapped runner has."""
        return self._runner.workers

    def map(
        self, work: Work, shared: Any, tasks: Iterable[Any], *, seconds: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Yield what the wrapped runner does."""
        for number, outcome in self._runner.map(work, shared, tasks, seconds=seconds):
            yield number, outcome
            self._after()

    def close(self) -> None:
        """Close the wrapped runner."""
        self._runner.close()


def attempt(work: Work, shared: Any, task: Any) -> Any:
    """Return `work(shared, task)`, or the `Failure` that says what it raised."""
    try:
        return work(shared, task)
    except NasError as error:
        return Failure(str(error), fatal=isinstance(error, RunError))
    except Exception as error:  # whatever a task raises is its own failure, not the runner's
        return Failure(f"{type(error).__name__}: {error}".partition("\n")[0])
