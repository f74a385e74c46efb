"""Measure in shuffled rounds: every job is visited once a round, the reference all along.

What slows a machine for a while so meets all jobs alike, and the reference tells by how much.
A job whose interval is narrow enough is left out of later rounds. Every visit is written at once;
a measurement that was broken off goes on where it stopped.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.backends import Run
from nas.errors import NasError
from nas.lines import Record
from nas.measuring.estimates import Estimates, estimate
from nas.measuring.samples import SampleFile, Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a measurement goes.

    Every job is visited in at least `least` rounds and at most `most`; after `least` it is left
    out when its interval is narrower than `narrow` (half of it, as a fraction). A visit takes at
    least `runs` runs, and more of a short job until `visit_seconds` are over. The reference is
    visited again after `reference_seconds`. Nothing is begun after `seconds`.
    """

    least: int = 16
    most: int = 40
    narrow: float = 0.008
    runs: int = 3
    visit_seconds: float = 0.004
    reference_seconds: float = 0.25
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What it takes to measure one job: a way to its model's file, which may be slow."""

    name: str
    load: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a measurement is: `done` visits of at most `total`, and the noise so far.

    `seconds_left` counts on every job going through all rounds; most need fewer.
    """

    done: int
    total: int
    seconds_left: float
    round: int
    noise: float


Report = Callable[[Progress], None]
_MAX_RUNS = 20
_REFERENCES = 6
_VISITS_OF_AN_INSTANCE = 8
_BYTES_PER_MODEL_BYTE = 3
_MEMORY_SHARE = 0.25
_MEMORY_BYTES_WHERE_UNKNOWN = 1_000_000_000


def measure(
    models: Sequence[Model],
    open_model: Callable[[bytes], Run],
    file: SampleFile,
    *,
    rounds: Rounds,
    machine: Record,
    report: Report = lambda progress: None,
) -> Estimates:
    """Visit `models`, the reference first among them, until `rounds` are over; return estimates.

    A model that cannot be made or opened is noted as refused, and the rest goes on.

    Raises:
        NasError: if the reference is refused: nothing can be measured then.
        RunError: if the file cannot be written; everything before is kept.
    """
    file.begin(machine)
    state = _State(models, open_model, file)
    state.visit_reference(rounds)
    plan = _Remaining(rounds, len(models), state)
    for number, job in plan:
        if time.monotonic() - state.start > rounds.seconds:
            break
        if state.since_reference() > rounds.reference_seconds:
            state.visit_reference(rounds)
        state.visit(job, rounds)
        report(plan.progress(number))
    state.visit_reference(rounds)
    return estimate(state.visits)


class _State:
    """The open models and the visits so far."""

    def __init__(
        self, models: Sequence[Model], open_model: Callable[[bytes], Run], file: SampleFile
    ) -> None:
        self.file = file
        self.start = time.monotonic()
        self.visits = list(file.samples.visits)
        self.refused = dict(file.samples.refused)
        self._begin = len(file.samples.begins)
        self._reference_at = self.start
        self._runs = _Runs(models, open_model)

    def since_reference(self) -> float:
        return time.monotonic() - self._reference_at

    def visit_reference(self, rounds: Rounds) -> None:
        try:
            run = self._runs(0)
        except NasError as error:  # not noted: once that is mended, the file can go on
            raise NasError(f"the reference network cannot be measured: {error}") from None
        self._visit(0, run, rounds)
        self._reference_at = time.monotonic()

    def visit(self, job: int, rounds: Rounds) -> None:
        try:
            run = self._runs(job) if job else self._runs.reference()
        except NasError as error:
            self.refused[job] = str(error)
            self.file.refused(job, str(error))
            return
        self._visit(job, run, rounds)

    def _visit(self, job: int, run: Run, rounds: Rounds) -> None:
        at = time.monotonic() - self.start
        run()
        times = list(_times(run, rounds))
        ms = (1e3 * min(times), 1e3 * float(np.median(times)))
        visit = Visit(job, self._begin, at, *ms)
        self.visits.append(visit)
        self.file.visit(visit)


def _times(run: Run, rounds: Rounds) -> Iterator[float]:
    total, count = 0.0, 0
    while count < rounds.runs or (total < rounds.visit_seconds and count < _MAX_RUNS):
        seconds = run()
        total, count = total + seconds, count + 1
        yield seconds


def memory_bytes() -> int:
    """Return the part of this machine's memory that open models may take."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return _MEMORY_BYTES_WHERE_UNKNOWN
    return int(_MEMORY_SHARE * physical)


@dataclass
class _Runs:
    """Opens models when they are asked for, and closes those used least while memory is short."""

    models: Sequence[Model]
    open_model: Callable[[bytes], Run]
    memory_bytes: int = field(default_factory=memory_bytes)
    _references: list[Run] = field(default_factory=list)
    _asked: int = 0
    _open: OrderedDict[int, tuple[Run, int]] = field(default_factory=OrderedDict)

    def __call__(self, job: int) -> Run:
        if job not in self._open:
            content = self.models[job].load()
            self._open[job] = (self.open_model(content), _BYTES_PER_MODEL_BYTE * len(content))
        self._open.move_to_end(job)
        while len(self._open) > 1 and self._size() > self.memory_bytes:
            self._open.popitem(last=False)
        return self._open[job][0]

    def reference(self) -> Run:
        """Return one of a few instances of the reference, which are opened anew by and by.

        Where a model lies in memory makes it some per cent faster or slower for as long as it is
        open. With one instance, all results would be off by that.
        """
        renewed, late = divmod(self._asked, _VISITS_OF_AN_INSTANCE)
        if not late:
            fresh = self.open_model(self.models[0].load())
            oldest = renewed % _REFERENCES
            self._references[oldest : oldest + 1] = [fresh]
        self._asked += 1
        return self._references[self._asked % len(self._references)]

    def _size(self) -> int:
        return sum(size for _, size in self._open.values())


class _Remaining:
    """Yields (round, job) until every job is measured well enough."""

    def __init__(self, rounds: Rounds, jobs: int, state: _State) -> None:
        self.rounds, self.jobs, self.state = rounds, jobs, state
        self._noise, self._done, self._expected = 0.0, 0, 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for number in range(self.rounds.most):
            left = self._left(number)
            self._expected = self._done + len(left) * (self.rounds.most - number)
            for job in np.random.default_rng(number).permutation(left):
                yield number, int(job)
                self._done += 1

    def _left(self, number: int) -> list[int]:
        """Return the jobs to visit in a round, counted from 0."""
        found = estimate(self.state.visits)
        self._noise = found.noise
        done = {j for j, e in found.jobs.items() if e.rounds > number}
        if number >= self.rounds.least:
            done |= {j for j, e in found.jobs.items() if e.width <= self.rounds.narrow}
        return [job for job in range(1, self.jobs) if job not in {*done, *self.state.refused}]

    def progress(self, number: int) -> Progress:
        """Return how far the measurement is."""
        taken = time.monotonic() - self.state.start
        done = self._done + 1
        return Progress(
            done=done,
            total=max(self._expected, done),
            seconds_left=taken / done * max(self._expected - done, 0),
            round=number + 1,
            noise=self._noise,
        )
