"""A session: a problem, a strategy and a journal, advanced by asks and tells.

The journal is the memory. Opening a session on a journal that is not empty replays it: the strategy
is asked and told again, in the same order, which restores its state.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nas.core.jsonl import Lines
from nas.core.run_folder import other
from nas.searching import journal as log
from nas.searching.evaluate import evaluate
from nas.searching.journal import NullJournal
from nas.searching.problem import Problem, Strategy, Trials, concatenate
from nas.space.space import Matrix

logger = logging.getLogger(__name__)

_EARLIER = re.compile(r"(table:.+ )[0-9a-f]{16}")


class Session:
    """The state of a search.

    `waiting` holds the proposals that were not told yet, by number; `asked` counts all proposals.

    Raises:
        RunError: if the journal belongs to another problem or strategy.
    """

    def __init__(
        self,
        problem: Problem,
        strategy: Strategy,
        journal: Lines | NullJournal,
        *,
        header: Mapping[str, Any],
    ) -> None:
        """Open a session; a journal is resumed only with an equal `header`."""
        self.problem, self.strategy, self.journal = problem, strategy, journal
        self._parts: list[Trials] = []
        self._seen: dict[bytes, int] = {}
        self._count = 0
        self.asked = 0
        self.waiting: dict[int, Matrix] = {}
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
        """All finished trials, in the order in which they were told."""
        self._parts = [concatenate(self._parts, len(self.problem.space.columns))]
        return self._parts[0]

    def step(self, count: int) -> int:
        """Ask for up to `count` candidates, evaluate them, tell; return how many there were.

        Where an evaluator takes fewer at once, the others wait for the next step.

        Proposals that wait from an earlier search come first.
        """
        if not self.waiting:
            self.ask(count)
        numbers = tuple(self.waiting)[: _at_once(self.problem, first=not self._count)]
        if numbers:
            picks = np.stack([self.waiting[number] for number in numbers])
            self.tell(numbers, self._evaluate(picks))
        return len(numbers)

    def ask(self, count: int) -> tuple[int, ...]:
        """Ask for up to `count` candidates; return their numbers in `waiting`."""
        picks = self.strategy.ask(count)
        if not len(picks):
            return ()
        self.journal.append(log.ask_record(self.asked, count, picks))
        return self._asked(picks)

    def tell_known(self, proposals: Sequence[int]) -> tuple[int, ...]:
        """Tell those of `proposals` that were evaluated before; return the others."""
        again = [n for n in proposals if self.waiting[n].tobytes() in self._seen]
        for number in again:
            self.tell((number,), self._evaluate(self.waiting[number][None]))
        return tuple(number for number in proposals if number in self.waiting)

    def tell(self, proposals: Sequence[int], trials: Trials) -> None:
        """Take in the `trials` of `proposals`; they get the next numbers."""
        shift = self._count - trials.first
        errors = {number + shift: text for number, text in trials.errors.items()}
        trials = replace(trials, first=self._count, errors=errors)
        self.journal.append(log.tell_record(trials, proposals))
        self._told(proposals, trials)

    def _asked(self, picks: Matrix) -> tuple[int, ...]:
        numbers = tuple(range(self.asked, self.asked + len(picks)))
        self.waiting |= zip(numbers, picks, strict=True)
        self.asked += len(picks)
        return numbers

    def _told(self, proposals: Sequence[int], trials: Trials) -> None:
        for number in proposals:
            del self.waiting[number]
        for i, row in enumerate(trials.picks):
            self._seen.setdefault(row.tobytes(), trials.first + i)
        self._parts.append(trials)
        self._count += len(trials)
        self.strategy.tell(trials)

    def _evaluate(self, picks: Matrix) -> Trials:
        """Evaluate the rows that are new; copy the others from their earlier trials.

        A failure is copied like any result: the same row would most likely fail again.
        """
        first, seen = self._count, dict[bytes, int]()
        keys = [(first + i, row.tobytes()) for i, row in enumerate(picks)]
        source = np.array([self._seen.get(key, seen.setdefault(key, n)) for n, key in keys])
        new = source == np.arange(first, first + len(picks))
        fresh = evaluate(self.problem, picks[new], first=first)
        if new.all():
            return fresh
        known = concatenate([self.trials, fresh], picks.shape[1])
        place = np.concatenate([np.arange(first), first - 1 + np.cumsum(new)])[source]
        errors = {first + i: known.errors[n] for i, n in enumerate(place) if n in known.errors}
        return replace(
            fresh,
            picks=picks,
            metrics={name: known.metrics[name][place] for name in fresh.metrics},
            status=known.status[place],
            errors=errors,
        )

    def _replay(self, header: Mapping[str, Any]) -> None:
        found = self.journal.records[0]
        for key, wanted in header.items():
            if key == "space" or found.get(key) == wanted:  # its choices count, not its name
                continue
            others = self._differing(found.get(key), wanted) if key == "evaluators" else None
            if others:
                logger.warning(
                    "%s was begun by an earlier version: that its latency table is the same cannot "
                    "be checked",
                    self.journal.path.parent,
                )
            elif others is None:
                verb = "are" if key.endswith("s") else "is"
                start = f"{self.journal.path.parent} is the run of another search: its {key} {verb}"
                raise other(start, found.get(key), wanted)
        faithful = True
        source = str(self.journal.path)
        needed = [objective.metric for objective in self.problem.objectives]
        widths = self.problem.space.widths
        for event in log.events(self.journal.records, widths, source=source, needed=needed):
            if isinstance(event, log.Tell):
                self._told(event.proposals, event.trials)
                continue
            if faithful and not np.array_equal(self.strategy.ask(event.wanted), event.picks):
                faithful = False
                text = "%s: this version proposes otherwise; resuming from the results"
                logger.warning(text, source)
            self._asked(event.picks)
        self.journal.records = self.journal.records[:1]

    def _differing(self, found: Any, wanted: Sequence[str]) -> list[str] | None:
        """Return which of `wanted` cannot be compared with what an earlier version wrote.

        None where an evaluator is another. Earlier versions ended the text of a latency table in
        sixteen digits of its sums, whose last bits depend on the Python that adds; now "sha256:"
        and digits of the table's own numbers stand there. Others list their `earlier` texts.
        """
        if not isinstance(found, list) or len(found) != len(wanted):
            return None
        earlier = {str(e): getattr(e, "earlier", ()) for e in self.problem.evaluators}
        unsure = []
        for old, new in zip(found, wanted, strict=True):
            known = {new, *earlier.get(new, ())}
            table = _EARLIER.fullmatch(str(old))
            if table and any(text.startswith(f"{table[1]}sha256:") for text in known):
                unsure.append(new)
            elif old not in known:
                return None
        return unsure


def _at_once(problem: Problem, *, first: bool) -> int | None:
    """Return how many candidates the evaluators take at once, None where any number is welcome."""
    name = "first_at_once" if first else "at_once"
    asked = (getattr(e, name, getattr(e, "at_once", None)) for e in problem.expensive)
    return min((max(1, count) for count in asked if count is not None), default=None)
