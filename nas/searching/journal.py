"""The journal of a run: JSON lines that survive a kill.

The first line is a header; every other line is an ask (proposals, before their evaluation) or a
tell (the trials of some of them, in the order in which they were finished).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import RunError
from nas.core.jsonl import Lines, Record, line_reader
from nas.core.schema import Count, Reader, Seconds
from nas.core.text import shown
from nas.searching.metrics import plausible, possible
from nas.searching.problem import (
    FAILED,
    INFEASIBLE,
    OK,
    STATUS_TYPE,
    STOPPED,
    Floats,
    Trials,
)
from nas.space.space import Matrix

_LETTERS = {"o": OK, "i": INFEASIBLE, "s": STOPPED, "f": FAILED}
_STATUS = {status: letter for letter, status in _LETTERS.items()}
_NUMBERS = {int, float, NoneType}
_MAX_WANTED = 1_000_000
"""A damaged number must not ask a strategy for more than memory holds."""


JOURNAL = "journal.jsonl"
"""Its name in a run folder."""


def open_journal(path: Path) -> Lines:
    """Return the journal at `path`, a new one where there is none.

    Raises:
        RunError: see `Lines`.
    """
    return Lines(path, writer="another search")


class NullJournal:
    """A journal that stores nothing, for searches without a run folder."""

    path = Path()

    def __init__(self) -> None:
        """Begin empty."""
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        """Do nothing."""

    def restore(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Proposals: `picks` answered an ask for `wanted`; they are numbered from `first`.

    Where `wanted` is beyond a million, it is no more than the proposals that came.
    """

    first: int
    wanted: int
    picks: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """The trials of some `proposals`, given by their numbers. Trials are numbered as told."""

    proposals: tuple[int, ...]
    trials: Trials


@dataclass(frozen=True, slots=True, kw_only=True)
class _AskLine:
    """The line of an ask."""

    ask: int
    wanted: Count
    picks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _TellLine:
    """The line of a tell; its metrics are checked as whole columns, which is quicker."""

    tell: int
    status: str
    metrics: Mapping[str, Any]
    seconds: Seconds
    errors: Mapping[str, str]
    proposals: tuple[int, ...] | None = None


def events(
    records: Sequence[Record],
    widths: NDArray[np.int64],
    *,
    source: str,
    needed: Sequence[str] = (),
) -> Iterator[Ask | Tell]:
    """Yield the asks and tells of the records after the header.

    `widths` are those of the space: how many values every column of picks has. A trial that is
    "ok" has a plausible number for each of the metrics `needed`.

    Raises:
        RunError: naming the line and the key of a record that is damaged or out of order.
    """
    waiting: dict[int, NDArray[np.uint8]] = {}
    asked = told = 0
    for number, record in enumerate(records[1:], start=2):
        read = line_reader(source, number)
        if "ask" in record:
            ask = _asked(read, record, asked, widths)
            waiting |= dict(enumerate(ask.picks, start=asked))
            asked += len(ask.picks)
            yield ask
        else:
            tell = _told(read, record, told, waiting, needed)
            told += len(tell.trials)
            for proposal in tell.proposals:
                del waiting[proposal]
            yield tell


def _asked(read: Reader, record: Record, first: int, widths: NDArray[np.int64]) -> Ask:
    line = read.record(record, _AskLine)
    try:
        content = bytes.fromhex(line.picks)
    except ValueError:
        content = b""
    columns = len(widths)
    if not content or len(content) % columns:
        raise read.bad(record, "picks", f"hexadecimal, {columns} bytes a proposal")
    picks = np.frombuffer(content, dtype=np.uint8).reshape(-1, columns)
    if not (picks < widths).all():
        raise read.bad(record, "picks", "picks of the space")
    if line.ask != first:
        raise read.bad(record, "ask", f"{first}, the number of the next proposal")
    return Ask(first=first, wanted=min(line.wanted, max(_MAX_WANTED, len(picks))), picks=picks)


def _told(
    read: Reader,
    record: Record,
    first: int,
    waiting: Mapping[int, Matrix],
    needed: Sequence[str],
) -> Tell:
    line = read.record(record, _TellLine)
    if line.tell != first:
        raise read.bad(record, "tell", f"{first}, the number of the next trial")
    count = len(line.status)
    if not count or set(line.status) - set(_LETTERS):
        raise read.bad(record, "status", f"letters of {''.join(_LETTERS)}")
    proposals = line.proposals
    if proposals is None:
        proposals = tuple(range(first, first + count))
    distinct = len(set(proposals)) == len(proposals) == count
    if not distinct or any(number not in waiting for number in proposals):
        raise read.fail("it tells of proposals that were never asked for, or of one twice")
    status = np.array([_LETTERS[letter] for letter in line.status], dtype=STATUS_TYPE)
    trials = Trials(
        first=first,
        picks=np.stack([waiting[number] for number in proposals]),
        metrics={n: _metric(read, record, n, count) for n in line.metrics},
        status=status,
        seconds=line.seconds,
        errors=_errors(read, line.errors, range(first, first + count)),
    )
    for name in needed:
        _check_needed(read, trials, name)
    for values in trials.metrics.values():
        values[np.isinf(values)] = np.nan  # earlier versions wrote it
    return Tell(proposals=proposals, trials=trials)


def _metric(read: Reader, record: Record, name: str, count: int) -> Floats:
    """Return the values of one metric, NaN where there is none."""
    metrics = record["metrics"]
    values = read.get(metrics, name, list)
    if len(values) != count or {type(value) for value in values} - _NUMBERS:
        raise read.bad(metrics, name, f"{count} numbers or nulls")
    try:
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    except OverflowError:
        raise read.bad(metrics, name, "numbers that a float can hold") from None


def _check_needed(read: Reader, trials: Trials, name: str) -> None:
    """Refuse trials that are ok or stopped with a value that the metric cannot have."""
    values = trials.metrics.get(name, np.full(len(trials), np.nan))
    if np.isnan(values[trials.ok]).any():
        raise read.fail(f"a trial is ok without a number for {name}")
    settled = (trials.ok | (trials.status == STOPPED)) & ~np.isnan(values)
    for i in np.flatnonzero(settled & ~plausible(name, values)):
        raise RunError(
            f"{read.path}, line {read.line}: metrics.{name}.{i} is {values[i]:g}, but {name} must "
            f"be {possible(name)}; fix the evaluator and begin a new run"
        )


def _errors(read: Reader, errors: Mapping[str, str], numbers: range) -> dict[int, str]:
    known = {str(number): number for number in numbers}
    for number in errors:
        if number not in known:
            raise read.fail(f"errors.{shown(number)} is of another trial")
    return {known[number]: text for number, text in errors.items()}


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
            name: [value if isfinite(value) else None for value in values.tolist()]
            for name, values in trials.metrics.items()
        },
        "seconds": round(trials.seconds, 6),
        "errors": {str(number): text for number, text in trials.errors.items()},
    }
