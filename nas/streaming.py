"""Keep many workers busy: ask whenever one is free, tell whatever comes back first."""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from nas.errors import RunError
from nas.evaluate import evaluate
from nas.problem import FAILED, STATUS_TYPE, Problem, Trials
from nas.runner import WAIT, Failure, Runner
from nas.session import Session
from nas.space import Matrix

SECONDS_PER_TASK = 0.2
"""Candidates that take less are sent several at a time."""


def stream(
    session: Session,
    runner: Runner,
    *,
    wanted: int,
    over: Callable[[], bool],
    batch: int = 0,
    seconds: float = 0.0,
) -> Iterator[None]:
    """Evaluate candidates on `runner` until `wanted` are told or `over()`; yield after every tell.

    What waits from an earlier search comes first. A batch of candidates is asked for when none is
    left: `batch`, or an eighth of the workers at most, so that a strategy learns from what there is
    without being asked for each. A task that takes more than `seconds` fails (0: it may).

    Raises:
        RunError: if something cannot be kept.
    """
    size = _rows_per_task(session)
    at_once = batch or max(size, min(session.strategy.batch, runner.workers // 8))
    proposals = _Proposals(session, size, at_once=at_once, wanted=wanted, over=over)
    for task, outcome in runner.map(evaluate, session.problem, proposals, seconds=seconds):
        numbers = proposals.taken_back(task)
        if isinstance(outcome, Failure):
            outcome = _failed(session, numbers, outcome)
        session.tell(numbers, outcome)
        yield


def _rows_per_task(session: Session) -> int:
    seconds = sum(evaluator.seconds for evaluator in session.problem.dear)
    return int(np.clip(SECONDS_PER_TASK / max(seconds, 1e-9), 1, session.strategy.batch))


class _Proposals:
    """Hands proposals out, some rows at a time, and asks for more when there are none left."""

    def __init__(
        self, session: Session, size: int, *, at_once: int, wanted: int, over: Callable[[], bool]
    ) -> None:
        self._session, self._size, self._at_once = session, size, at_once
        self._wanted, self._over = wanted, over
        self._left = deque(session.recall(tuple(session.waiting)))
        self._out: dict[int, tuple[int, ...]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[object]:
        while True:
            if not self._left:
                self._ask()
            if self._left:
                yield self._handed_out()
            elif self._out:
                yield WAIT
            else:
                return

    def _ask(self) -> None:
        """Ask until there is something new, or nothing more to be had for now."""
        session = self._session
        while not self._left and not self._over() and session.asked < self._wanted:
            numbers = session.ask(min(self._at_once, self._wanted - session.asked))
            if not numbers:
                return
            self._left.extend(session.recall(numbers))

    def _handed_out(self) -> Matrix:
        size = min(self._size, len(self._left))
        numbers = tuple(self._left.popleft() for _ in range(size))
        self._out[self._count] = numbers
        self._count += 1
        return np.stack([self._session.waiting[number] for number in numbers])

    def taken_back(self, task: int) -> tuple[int, ...]:
        return self._out.pop(task)


def _failed(session: Session, numbers: tuple[int, ...], failure: Failure) -> Trials:
    """Return the trials of a task that failed: all that it held.

    Raises:
        RunError: if the next one would fare no better.
    """
    if failure.fatal:
        raise RunError(failure.text)
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
