"""The journal of a run: JSON lines, appended, which survive a kill at any byte.

The first line is a header; every other line is an ask (proposals, before their evaluation) or a
tell (what became of them). A last line without its end was being written when the process died:
it is dropped.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import RunError
from nas.problem import FAILED, INFEASIBLE, OK, STATUS_TYPE, Trials
from nas.space import Matrix

try:
    import fcntl
except ImportError:  # not on Windows; there two searches in one folder are not noticed
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
Record = Mapping[str, Any]

_LETTERS = {"o": OK, "i": INFEASIBLE, "f": FAILED}
_STATUS = {status: letter for letter, status in _LETTERS.items()}


class Journal:
    """An open journal: what it held when it was opened, and a way to append.

    Raises:
        RunError: if it cannot be opened or written, another process writes into it, or a line
            before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, creating it where there is none."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from None
        self._lock()
        try:
            self._file.seek(0)
            self.records, end = parse(self._file.read(), source=str(path))
            self._file.truncate(end)
        except RunError:
            self._file.close()
            raise

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RunError(f"{self.path}: another search is writing into this run folder") from None

    def append(self, record: Record) -> None:
        """Write one record so that a kill right after loses nothing."""
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        start = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self._file.truncate(start)
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; everything before is kept: "
                "make room and start the same command again"
            ) from None

    def close(self) -> None:
        """Bring everything to the disk and let others write."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()


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


def parse(content: bytes, *, source: str) -> tuple[list[Record], int]:
    """Return the records in `content`, and how many bytes of it are whole lines.

    Raises:
        RunError: if a line that has an end is no record.
    """
    end = content.rfind(b"\n") + 1
    if end < len(content):
        logger.warning("%s: dropped a last line that was not finished", source)
    records: list[Record] = []
    for number, line in enumerate(content[:end].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise _damaged(source, number)
        records.append(record)
    return records, end


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
            raise _damaged(source, number)
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


def _damaged(source: str, number: int) -> RunError:
    return RunError(f"{source}, line {number}: damaged; restore the file or start a new run")


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
