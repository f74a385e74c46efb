"""The journal of a run: JSON lines, of which nothing is lost.

The first line is a header; every other line is an ask (proposals, before their evaluation) or a
tell (what became of them).
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.lines import Lines, Record, damaged
from nas.problem import FAILED, INFEASIBLE, OK, STATUS_TYPE, STOPPED, Trials
from nas.space import Matrix

_LETTERS = {"o": OK, "i": INFEASIBLE, "s": STOPPED, "f": FAILED}
_STATUS = {status: letter for letter, status in _LETTERS.items()}


def open_journal(path: Path) -> Lines:
    """Return the journal at `path`, a new one where there is none.

    Raises:
        RunError: see `Lines`.
    """
    return Lines(path, writer="another search")


class NoJournal:
    """A journal that remembers nothing, for searches that leave no run folder."""

    path = Path()

    def __init__(self) -> None:
        """Begin empty."""
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Proposals: `picks` answered an ask for `wanted`; the first of them is trial `first`."""

    first: int
    wanted: int
    picks: Matrix


def events(
    records: Sequence[Record], widths: NDArray[np.int64], *, source: str
) -> Iterator[Ask | Trials]:
    """Yield what the records after the header stand for: asks, each but the last with its trials.

    `widths` are those of the space: how many values every column of picks has.

    Raises:
        RunError: naming the line of a record that is damaged, or out of its place.
    """
    asked: Ask | None = None
    count = 0
    for number, record in enumerate(records[1:], start=2):
        event: Ask | Trials | None = None
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # then it is damaged
            event = _asked(record, count, widths) if asked is None else _told(record, asked)
        if event is None:
            raise damaged(source, number)
        asked = event if isinstance(event, Ask) else None
        count += 0 if asked else len(event.picks)
        yield event


def _asked(record: Record, first: int, widths: NDArray[np.int64]) -> Ask | None:
    picks = np.frombuffer(bytes.fromhex(record["picks"]), dtype=np.uint8).reshape(-1, len(widths))
    sound = record["ask"] == first and len(picks) and bool((picks < widths).all())
    return Ask(first=first, wanted=int(record["wanted"]), picks=picks) if sound else None


def _told(record: Record, asked: Ask) -> Trials | None:
    trials = _told_trials(record, asked.picks)
    lengths = {len(trials.status), *map(len, trials.metrics.values())}
    return trials if trials.first == asked.first and lengths == {len(asked.picks)} else None


def ask_record(first: int, wanted: int, picks: Matrix) -> Record:
    """Return the record of proposals: `picks` answered an ask for `wanted`."""
    return {"ask": first, "wanted": wanted, "picks": picks.tobytes().hex()}


def tell_record(trials: Trials) -> Record:
    """Return the record of finished trials."""
    return {
        "tell": trials.first,
        "status": "".join(_STATUS[str(status)] for status in trials.status),
        "metrics": {
            name: [None if value != value else value for value in values.tolist()]
            for name, values in trials.metrics.items()
        },
        "seconds": round(trials.seconds, 6),
        "errors": {str(number): text for number, text in trials.errors.items()},
    }


def _told_trials(record: Record, picks: Matrix) -> Trials:
    return Trials(
        first=record["tell"],
        picks=picks,
        metrics={
            name: np.array([np.nan if value is None else value for value in values], dtype=float)
            for name, values in record["metrics"].items()
        },
        status=np.array([_LETTERS[letter] for letter in record["status"]], dtype=STATUS_TYPE),
        seconds=record["seconds"],
        errors={int(n): text for n, text in record["errors"].items()},
    )
