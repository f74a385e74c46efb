"""Keep many workers busy: ask whenever one is free, tell results as they come."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nas.core.workers.runner import WAIT, Failure, Runner, outcomes
from nas.searching.evaluate import evaluate
from nas.searching.problem import FAILED, STATUS_TYPE, Problem, Trials
from nas.searching.session import Session
from nas.space.space import Matrix

SECONDS_PER_TASK = 0.2
"""Candidates that take less are sent several at a time."""


def stream(  # noqa: PLR0913  # a parameter for every setting
    session: Session,
    runner: Runner,
    *,
    wanted: int,
    over: Callable[[], bool],
    batch: int = 0,
    seconds: float = 0.0,
    in_turn: bool = False,
) -> Iterator[None]:
    """Evaluate candidates on `runner` until `wanted` are told or `over()`; yield after every tell.

    Proposals that wait from an earlier search come first. When none is left, `batch` candidates are
    asked for, by default at most an eighth of the workers, so that the strategy has learned from
    the results so far. A task that takes more than `seconds` fails (0: no limit). Nothing is
    evaluated twice: a proposal equal to one that was told, even a failed one, gets its result, and
    one equal to another that is being evaluated waits for it.

    With `in_turn` results are told in the order of asking, and there are always as many proposals
    without a result as there are workers. So the same seed and as many workers give the same
    trials, whatever finishes first; a worker may wait for another.

    Raises:
        RunError: if a file cannot be written.
    """
    size = 1 if in_turn else _rows_per_task(session)
    at_once = batch or max(size, min(session.strategy.batch, runner.workers // 8))
    proposals = _Proposals(session, size, at_once=at_once, wanted=wanted, over=over)
    proposals.ahead = runner.workers if in_turn else 0
    proposals.fill()
    found = outcomes(runner, evaluate, session.problem, proposals, seconds=seconds)
    for task, outcome in _in_turn(found) if in_turn else found:
        numbers = proposals.taken_back(task)
        if isinstance(outcome, Failure):
            outcome = _failed(session, numbers, outcome)
        session.tell(numbers, outcome)
        proposals.told()
        proposals.fill()
        yield


def _in_turn(results: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Yield the results of tasks in the order of their numbers, from 0."""
    ready: dict[int, Any] = {}
    awaited = 0
    for task, outcome in results:
        ready[task] = outcome
        while awaited in ready:
            yield awaited, ready.pop(awaited)
            awaited += 1


def _rows_per_task(session: Session) -> int:
    seconds = sum(evaluator.seconds for evaluator in session.problem.expensive)
    return int(np.clip(SECONDS_PER_TASK / max(seconds, 1e-9), 1, session.strategy.batch))


class _Proposals:
    """Hands proposals out, some rows at a time, and asks for more when there are none left.

    With `ahead`, it only asks where told to `fill`: until so many proposals have no result.
    """

    ahead = 0

    def __init__(
        self, session: Session, size: int, *, at_once: int, wanted: int, over: Callable[[], bool]
    ) -> None:
        self._session, self._size, self._at_once = session, size, at_once
        self._wanted, self._over = wanted, over
        self._left: deque[int] = deque()
        self._out: dict[int, tuple[int, ...]] = {}
        self._twins: tuple[int, ...] = ()
        self._under_way: set[bytes] = set()
        self._count = 0
        self._take(tuple(session.waiting))

    def __iter__(self) -> Iterator[object]:
        while True:
            if not self._left and not self.ahead:
                self._ask()
            if self._left:
                yield self._handed_out()
            elif self._out:
                yield WAIT
            else:
                return

    def _ask(self) -> None:
        """Ask until there is something new, or the strategy has nothing for now."""
        while not self._left and self._asked():
            pass

    def fill(self) -> None:
        """Ask until as many proposals as wanted `ahead` are without a result."""
        while len(self._left) + len(self._out) < self.ahead and self._asked():
            pass

    def _asked(self) -> bool:
        """Ask once, and tell whether to ask again."""
        session = self._session
        if self._over() or session.asked >= self._wanted:
            return False
        numbers = session.ask(min(self._at_once, self._wanted - session.asked))
        self._take(numbers)
        return bool(numbers) and not self._twins

    def _take(self, numbers: tuple[int, ...]) -> None:
        """Answer what was told before; put the rest into the queue, or behind its twin."""
        for number in self._session.tell_known(numbers):
            row = self._session.waiting[number].tobytes()
            if row in self._under_way:
                self._twins += (number,)
            else:
                self._under_way.add(row)
                self._left.append(number)

    def _handed_out(self) -> Matrix:
        size = min(self._size, len(self._left))
        numbers = tuple(self._left.popleft() for _ in range(size))
        self._out[self._count] = numbers
        self._count += 1
        return np.stack([self._session.waiting[number] for number in numbers])

    def taken_back(self, task: int) -> tuple[int, ...]:
        """Return the numbers of a task that came back."""
        return self._out.pop(task)

    def told(self) -> None:
        """Give proposals that wait for a twin its result, if there is one now."""
        self._twins = self._session.tell_known(self._twins)


def _failed(session: Session, numbers: tuple[int, ...], failure: Failure) -> Trials:
    """Return the failed trials of a task that failed."""
    picks = np.stack([session.waiting[number] for number in numbers])
    known: Problem = session.problem
    nothing = np.full(len(numbers), np.nan)
    metrics = {**dict.fromkeys(known.provides, nothing), **known.known(picks)}
    return Trials(
        first=0,
        picks=picks,
        metrics={**metrics, "reward": nothing} if known.reward else metrics,
        status=np.full(len(numbers), FAILED, dtype=STATUS_TYPE),
        errors=dict.fromkeys(range(len(numbers)), failure.text),
    )
