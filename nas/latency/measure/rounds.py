"""Measure in shuffled rounds: every job is visited once a round, the references all along.

What slows a machine for a while so meets all jobs alike, and the references tell by how much.
A job whose interval is narrow enough is left out of later rounds. Every visit is written at once;
a measurement that was interrupted goes on where it stopped.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from nas.core.errors import NasError
from nas.core.jsonl import Record
from nas.core.machine import machine_memory
from nas.latency.backends import Run
from nas.latency.measure.estimates import Estimates, estimate
from nas.latency.measure.samples import SampleFile, Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a measurement goes.

    Every job is visited in at least `least` rounds and at most `most`; after `least` it is left
    out when its interval is narrower than `narrow` (half of it, as a fraction). A visit takes at
    least `runs` runs, and more of a short job until `visit_seconds` are over. A reference is
    visited again after `reference_seconds`. Nothing is begun after `seconds`.
    """

    least: int = 14
    most: int = 24
    narrow: float = 0.01
    runs: int = 3
    visit_seconds: float = 0.004
    reference_seconds: float = 0.25
    seconds: float = float("inf")

    @classmethod
    def of(cls, rounds: int | None = None, *, minutes: float | None = None) -> "Rounds":
        """Return exactly `rounds` rounds of at most `minutes`; by default as many as needed."""
        made = cls(least=rounds, most=rounds) if rounds else cls()
        return replace(made, seconds=60 * minutes) if minutes else made


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


VisitReport = Callable[[Progress], None]
_MAX_RUNS = 20
_LONG_SECONDS = 1.0
_MEMORY_SHARE = 0.25
_MEMORY_BYTES_WHERE_UNKNOWN = 1_000_000_000


def measure(
    models: Sequence[Model],
    open_model: Callable[[bytes], Run],
    file: SampleFile,
    *,
    rounds: Rounds,
    machine: Record,
    report: VisitReport,
) -> Estimates:
    """Visit `models`, the references first among them, until `rounds` are over; return estimates.

    A model that cannot be made or opened is noted as refused, and the rest goes on.

    Raises:
        NasError: if a reference is refused: nothing can be measured then.
        RunError: if the file cannot be written; everything before is kept.
    """
    file.begin(machine)
    state = _State(models, open_model, file)
    state.visit_references(rounds)
    plan = _Remaining(rounds, len(models), state)
    for number, job in plan:
        if time.monotonic() - state.start > rounds.seconds:
            break
        if state.since_reference() > rounds.reference_seconds:
            state.visit_reference(rounds)
        state.visit(job, rounds)
        report(plan.progress(number))
    state.visit_references(rounds)
    return state.estimates()


class _State:
    """The models and the visits so far."""

    def __init__(
        self, models: Sequence[Model], open_model: Callable[[bytes], Run], file: SampleFile
    ) -> None:
        self.file = file
        self.start = time.monotonic()
        self.references = file.samples.references
        self.visits = list(file.samples.visits)
        self.refused = dict(file.samples.refused)
        self._begin = len(file.samples.begins)
        self._reference_at, self._asked = self.start, 0
        self._runs = _Runs(models, open_model)

    def estimates(self) -> Estimates:
        return estimate(self.visits, references=self.references)

    def since_reference(self) -> float:
        return time.monotonic() - self._reference_at

    def visit_references(self, rounds: Rounds) -> None:
        for _ in range(self.references):
            self.visit_reference(rounds)

    def visit_reference(self, rounds: Rounds) -> None:
        """Visit the next of the references."""
        job = self._asked % self.references
        self._asked += 1
        try:
            run = self._runs(job)
        except NasError as error:  # not noted: once that is mended, the file can go on
            raise NasError(f"a reference network cannot be measured: {error}") from None
        self._visit(job, run, rounds)
        self._reference_at = time.monotonic()

    def visit(self, job: int, rounds: Rounds) -> None:
        try:
            run = self._runs(job)
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
    """Return the part of this machine's memory that the models' files may take."""
    known = machine_memory()
    return int(_MEMORY_SHARE * known) if known < inf else _MEMORY_BYTES_WHERE_UNKNOWN


@dataclass
class _Runs:
    """Opens models for a visit; keeps their files, and those that take long to open, in memory.

    Where a model lies in memory makes it some per cent faster or slower for as long as it is open.
    So it is opened anew for every visit, and the luck is another one each time.
    """

    models: Sequence[Model]
    open_model: Callable[[bytes], Run]
    memory_bytes: int = field(default_factory=memory_bytes)
    _files: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    _slow: dict[int, Run] = field(default_factory=dict)

    def __call__(self, job: int) -> Run:
        if job in self._slow:
            return self._slow[job]
        content = self._file(job)
        start = time.monotonic()
        run = self.open_model(content)
        if time.monotonic() - start > _LONG_SECONDS:
            self._slow[job] = run
        return run

    def _file(self, job: int) -> bytes:
        if job not in self._files:
            self._files[job] = self.models[job].load()
        self._files.move_to_end(job)
        while len(self._files) > 1 and sum(map(len, self._files.values())) > self.memory_bytes:
            self._files.popitem(last=False)
        return self._files[job]


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
        found = self.state.estimates()
        self._noise = found.noise
        done = {j for j, e in found.jobs.items() if e.rounds > number}
        if number >= self.rounds.least:
            done |= {j for j, e in found.jobs.items() if e.width <= self.rounds.narrow}
        done |= {*self.state.refused, *range(self.state.references)}
        return [job for job in range(self.jobs) if job not in done]

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
