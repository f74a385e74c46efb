"""The journal of a run: JSON lines, of which nothing is lost.

The first line is a header; every other line is an ask (proposals, before their evaluation) or a
tell (what became of some of them, in whatever order they came back).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.lines import Lines, Record, damaged
from nas.problem import FAILED, INFEASIBLE, OK, STATUS_TYPE, STOPPED, Trials, concatenate
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
    """Proposals: `picks` answered an ask for `wanted`; they are numbered from `first`."""

    first: int
    wanted: int
    picks: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """What became of proposals, by their numbers. Trials are numbered as they are told."""

    proposals: tuple[int, ...]
    trials: Trials


def events(
    records: Sequence[Record], widths: NDArray[np.int64], *, source: str
) -> Iterator[Ask | Tell]:
    """Yield what the records after the header stand for.

    `widths` are those of the space: how many values every column of picks has.

    Raises:
        RunError: naming the line of a record that is damaged, or out of its place.
    """
    waiting: dict[int, NDArray[np.uint8]] = {}
    asked = told = 0
    for number, record in enumerate(records[1:], start=2):
        event: Ask | Tell | None = None
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # then it is damaged
            is_ask = "ask" in record
            event = _asked(record, asked, widths) if is_ask else _told(record, told, waiting)
        if event is None:
            raise damaged(source, number)
        if isinstance(event, Ask):
            waiting |= dict(enumerate(event.picks, start=asked))
            asked += len(event.picks)
        else:
            told += len(event.trials)
            for proposal in event.proposals:
                del waiting[proposal]
        yield event


def finished(records: Sequence[Record], widths: NDArray[np.int64], *, source: str) -> Trials:
    """Return all trials that were told.

    Raises:
        RunError: as `events` does.
    """
    told = [e.trials for e in events(records, widths, source=source) if isinstance(e, Tell)]
    return concatenate(told, len(widths))


def _asked(record: Record, first: int, widths: NDArray[np.int64]) -> Ask | None:
    picks = np.frombuffer(bytes.fromhex(record["picks"]), dtype=np.uint8).reshape(-1, len(widths))
    sound = record["ask"] == first and len(picks) and bool((picks < widths).all())
    return Ask(first=first, wanted=int(record["wanted"]), picks=picks) if sound else None


def _told(record: Record, first: int, waiting: Mapping[int, Matrix]) -> Tell | None:
    count = len(record["status"])
    proposals = tuple(record.get("proposals", range(first, first + count)))
    trials = _told_trials(record, np.stack([waiting[number] for number in proposals]))
    lengths = {count, len(set(proposals)), *map(len, trials.metrics.values())}
    sound = trials.first == first and lengths == {count}
    return Tell(proposals=proposals, trials=trials) if sound else None


def ask_record(first: int, wanted: int, picks: Matrix) -> Record:
    """Return the record of proposals: `picks` answered an ask for `wanted`."""
    return {"ask": first, "wanted": wanted, "picks": picks.tobytes().hex()}


def tell_record(trials: Trials, proposals: Sequence[int] = ()) -> Record:
    """Return the record of finished trials; `proposals` are named where their numbers differ."""
    same = not proposals or list(proposals) == [trials.first + i for i in range(len(trials))]
    return {
        "tell": trials.first,
        **({} if same else {"proposals": [int(number) for number in proposals]}),
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
