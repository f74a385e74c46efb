"""A session: a problem, a strategy and a journal, advanced by asks and tells.

The journal is the memory. Opening a session on a journal that is not empty replays it: the
strategy is asked and told again, in the same order, and so comes to the state in which it was.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nas import journal as log
from nas.errors import RunError
from nas.evaluate import evaluate
from nas.journal import NoJournal
from nas.lines import Lines
from nas.problem import Problem, Strategy, Trials, concatenate
from nas.space import Matrix

logger = logging.getLogger(__name__)


class Session:
    """The state of a search.

    Raises:
        RunError: if the journal belongs to another problem or strategy.
    """

    def __init__(
        self,
        problem: Problem,
        strategy: Strategy,
        journal: Lines | NoJournal,
        *,
        header: Mapping[str, Any],
    ) -> None:
        """Open a session; `header` is what must be equal for a journal to be continued."""
        self.problem, self.strategy, self.journal = problem, strategy, journal
        self._parts: list[Trials] = []
        self._pending: tuple[int, Matrix] | None = None
        self._seen: dict[bytes, int] = {}
        self._count = 0
        header = {"schema": 1, **header}
        if journal.records:
            self._replay(header)
        else:
            journal.append(header)

    def __len__(self) -> int:
        """Return the number of finished trials."""
        return self._count

    @property
    def trials(self) -> Trials:
        """All finished trials."""
        self._parts = [concatenate(self._parts, len(self.problem.space.columns))]
        return self._parts[0]

    def step(self, count: int) -> int:
        """Ask for up to `count` candidates, evaluate them, tell; return how many there were."""
        if self._pending is None:
            picks = self.strategy.ask(count)
            if not len(picks):
                return 0
            self.journal.append(log.ask_record(self._count, count, picks))
            self._pending = (self._count, picks)
        first, picks = self._pending
        trials = self._evaluate(first, picks)
        self.journal.append(log.tell_record(trials))
        self._tell(trials)
        return len(trials)

    def _evaluate(self, first: int, picks: Matrix) -> Trials:
        """Evaluate what was not evaluated before; copy the rest from the earlier trial."""
        source = np.arange(first, first + len(picks))
        for i, row in enumerate(picks):
            source[i] = self._seen.setdefault(row.tobytes(), first + i)
        new = source == np.arange(first, first + len(picks))
        trials = evaluate(self.problem, picks[new], first=first)
        if new.all():
            return trials
        return self._with_copies(trials, picks, source, new)

    def _with_copies(
        self, fresh: Trials, picks: Matrix, source: np.ndarray[Any, Any], new: np.ndarray[Any, Any]
    ) -> Trials:
        first = fresh.first
        own = np.flatnonzero(new) + first
        errors = {int(own[n - first]): text for n, text in fresh.errors.items()}
        position = {int(n): i for i, n in enumerate(own)}
        earlier = self.trials
        metrics = {}
        status = np.empty(len(picks), dtype=fresh.status.dtype)
        for name, values in fresh.metrics.items():
            old = earlier.metrics.get(name, np.zeros(0))
            metrics[name] = np.array(
                [values[position[n]] if n in position else old[n] for n in source.tolist()]
            )
        for i, n in enumerate(source.tolist()):
            status[i] = fresh.status[position[n]] if n in position else earlier.status[n]
            text = errors.get(n, earlier.errors.get(n))
            if text is not None:
                errors[first + i] = text
        return replace(fresh, picks=picks, metrics=metrics, status=status, errors=errors)

    def _tell(self, trials: Trials) -> None:
        self._parts.append(trials)
        self._count += len(trials)
        self._pending = None
        self.strategy.tell(trials)

    def _replay(self, header: Mapping[str, Any]) -> None:
        found = self.journal.records[0]
        for key, wanted in header.items():
            if found.get(key) != wanted:
                raise RunError(
                    f"{self.journal.path.parent} is the run of another search: its {key} is "
                    f"{found.get(key)!r}, not {wanted!r}; give another --out"
                )
        faithful = True
        source = str(self.journal.path)
        for event in log.events(self.journal.records, self.problem.space.widths, source=source):
            if isinstance(event, log.Ask):
                if faithful and not np.array_equal(self.strategy.ask(event.wanted), event.picks):
                    faithful = False
                    logger.warning(
                        "%s: this version proposes otherwise; going on from the results",
                        source,
                    )
                self._pending = (event.first, event.picks)
            else:
                for i, row in enumerate(event.picks):
                    self._seen.setdefault(row.tobytes(), event.first + i)
                self._tell(event)
        self.journal.records = self.journal.records[:1]
