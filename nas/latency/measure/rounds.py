"""Measure in shuffled rounds: every job once a round, a reference network now and then.

So what slows a machine for a while affects all jobs alike, and the references tell by how much.
A job whose interval is narrow enough is left out of later rounds, and a network that takes little
time comes several times in each: it is fitted and validated on, and cheap. Every repetition is
written at once, so an interrupted measurement can be resumed.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Protocol

import numpy as np

from nas.core.errors import NasError, RunError
from nas.core.jsonl import Record
from nas.core.machine import machine_memory
from nas.latency.backends import Run
from nas.latency.measure.estimates import Estimate, Estimates, estimate
from nas.latency.measure.samples import CORRECTION, VALIDATION, Repetition, SampleFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a measurement goes.

    There are at least `least` and at most `most` rounds; after `least` a job is left out when its
    interval is narrower than `narrow` (half of it, as a fraction). Networks that take less than
    `short_ms` are repeated `visits` times a round, all others once. A repetition takes at
    least `runs` runs, and more of a short job until `repetition_seconds` are over. A reference is
    measured again after `reference_seconds`. Nothing is begun after `seconds`.

    With `order`, the first round takes jobs in this order and then the others, but only as many as
    can be repeated `enough` times in `seconds`; the others are left out.
    """

    least: int = 14
    most: int = 24
    narrow: float = 0.01
    runs: int = 3
    repetition_seconds: float = 0.004
    reference_seconds: float = 0.25
    short_ms: float = 4.0
    visits: int = 2
    seconds: float = float("inf")
    enough: int = 6
    order: Sequence[int] = ()

    @property
    def chosen(self) -> bool:
        """Tell whether jobs are left out where time is short."""
        return bool(self.order) and self.seconds < inf

    def visits_of(self, network_ms: float) -> int:
        """Return how often a network is repeated in a round."""
        return self.visits if network_ms < self.short_ms else 1

    @classmethod
    def of(cls, rounds: int | None = None, *, minutes: float | None = None) -> "Rounds":
        """Return exactly `rounds` rounds of at most `minutes`; by default as many as needed.

        Raises:
            NasError: if `minutes` is no number above 0.
        """
        if minutes is not None and not minutes > 0:
            raise NasError(f"`minutes={minutes:g}`: it must be a number above 0")
        made = cls(least=rounds, most=rounds) if rounds else cls()
        return replace(made, seconds=60 * minutes) if minutes else made


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringProgress:
    """How far a measurement is: `done` repetitions of at most `total`, and the noise so far.

    `seconds_left` counts on every job going through all rounds; most need fewer.
    """

    done: int
    total: int
    seconds_left: float
    round: int
    noise: float


Load = Callable[[], bytes]
"""Returns the content of a model's file, which may take long."""
MeasuringReport = Callable[[MeasuringProgress], None]
MIN_JOBS = 31
"""As many jobs, of those that come first, are begun however short the time is."""
_MAX_RUNS = 20
_LONG_SECONDS = 1.0
_MEMORY_SHARE = 0.25
_MEMORY_BYTES_WHERE_UNKNOWN = 1_000_000_000


Repeat = Callable[[Rounds], tuple[float, float]]
"""Runs a job a few times; returns the fastest and the median in milliseconds, or raises a NasError
where the job is refused."""


class Timer(Protocol):
    """Repeats a job by its number in the plan.

    `measure_with` asks for one job after the other, in the order that `arranged` gave a round.
    """

    def prepare(self, job: int) -> Repeat:
        """Return the function that repeats a job, with its model where it runs.

        Raises:
            NasError: if the job is refused.
            RunError: if nothing can be measured any more.
        """

    def arranged(self, jobs: list[int]) -> list[int]:
        """Return the shuffled jobs of a round in the order in which they are best measured."""


def measure(
    models: Sequence[Load],
    open_model: Callable[[bytes], Run],
    file: SampleFile,
    *,
    rounds: Rounds,
    machine: Record,
    report: MeasuringReport,
) -> Estimates:
    """Measure `models`, the references first among them, until `rounds` are over.

    A model that cannot be made or opened is noted as refused; the others are measured.

    Raises:
        NasError: if a reference is refused.
        RunError: if the file cannot be written; everything before is kept.
    """
    timer = _Opened(models, open_model)
    return measure_with(timer, file, rounds=rounds, machine=machine, report=report)


def measure_with(
    timer: Timer, file: SampleFile, *, rounds: Rounds, machine: Record, report: MeasuringReport
) -> Estimates:
    """Measure the jobs of `file` as `timer` does, the references first among them.

    Raises:
        NasError, RunError: as `measure`.
    """
    file.begin(machine)
    state = _State(timer, file)
    state.measure_references(rounds)
    plan = _Remaining(rounds, len(file.samples.header["jobs"]), state)
    for number, job in plan:
        if state.seconds() > rounds.seconds:
            break
        if state.since_reference() > rounds.reference_seconds:
            state.measure_reference(rounds)
        state.measure(job, rounds)
        report(plan.progress(number))
    state.measure_references(rounds)
    return state.estimates()


class _State:
    """The models and the repetitions so far."""

    def __init__(self, timer: Timer, file: SampleFile) -> None:
        self.timer, self.file = timer, file
        self.start = time.monotonic()
        self.references = file.samples.references
        self.repetitions = list(file.samples.repetitions)
        self.refused = dict(file.samples.refused)
        self._begin = len(file.samples.begins)
        self._reference_at, self._asked = self.start, 0

    def estimates(self) -> Estimates:
        return estimate(self.repetitions, references=self.references)

    def is_network(self, job: int) -> bool:
        """Tell whether a job is a network to fit or validate on."""
        return self.file.samples.header["jobs"][job]["role"] in (CORRECTION, VALIDATION)

    @property
    def networks(self) -> int:
        """How many of the jobs are networks to fit or validate on."""
        return sum(map(self.is_network, range(len(self.file.samples.header["jobs"]))))

    def seconds(self) -> float:
        """Return how long this process has been measuring."""
        return time.monotonic() - self.start

    def since_reference(self) -> float:
        return time.monotonic() - self._reference_at

    def measure_references(self, rounds: Rounds) -> None:
        for _ in range(self.references):
            self.measure_reference(rounds)

    def measure_reference(self, rounds: Rounds) -> None:
        job = self._asked % self.references
        self._asked += 1
        try:
            self._measure(job, rounds)
        except RunError:
            raise
        except NasError as error:  # not noted, so that the file can be continued
            raise NasError(f"a reference network cannot be measured: {error}") from None
        self._reference_at = time.monotonic()

    def measure(self, job: int, rounds: Rounds) -> None:
        try:
            self._measure(job, rounds)
        except RunError:
            raise
        except NasError as error:
            self.refused[job] = str(error)
            self.file.refused(job, str(error))

    def _measure(self, job: int, rounds: Rounds) -> None:
        repeat = self.timer.prepare(job)
        at = time.monotonic() - self.start
        ms, median_ms = repeat(rounds)
        repetition = Repetition(job, self._begin, at, ms, median_ms)
        self.repetitions.append(repetition)
        self.file.add(repetition)


def _repeated(run: Run, rounds: Rounds) -> tuple[float, float]:
    """Run a model a few times, after once without a clock."""
    run()
    times = list(_times(run, rounds))
    return 1e3 * min(times), 1e3 * float(np.median(times))


def _times(run: Run, rounds: Rounds) -> Iterator[float]:
    total, count = 0.0, 0
    while count < rounds.runs or (total < rounds.repetition_seconds and count < _MAX_RUNS):
        seconds = run()
        total, count = total + seconds, count + 1
        yield seconds


def memory_bytes() -> int:
    """Return the part of this machine's memory that the models' files may take."""
    known = machine_memory()
    return int(_MEMORY_SHARE * known) if known < inf else _MEMORY_BYTES_WHERE_UNKNOWN


@dataclass
class _Opened:
    """Opens models and runs them in this process.

    Their files are kept in memory, and so are those that take long to open.

    Where a model lies in memory makes it some per cent faster or slower for as long as it is open.
    So it is opened again for every repetition.
    """

    models: Sequence[Load]
    open_model: Callable[[bytes], Run]
    memory_bytes: int = field(default_factory=memory_bytes)
    _files: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    _slow: dict[int, Run] = field(default_factory=dict)

    def prepare(self, job: int) -> Repeat:
        """Open the model of a job."""
        return partial(_repeated, self._run(job))

    def arranged(self, jobs: list[int]) -> list[int]:
        """Return `jobs`, as any is opened as fast as the next."""
        return jobs

    def _run(self, job: int) -> Run:
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
            self._files[job] = self.models[job]()
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
            more = 0 if number else (self.rounds.visits - 1) * self.state.networks
            self._expected = self._done + (len(left) + more) * (self.rounds.most - number)
            for job in self.state.timer.arranged(self._sorted(number, left)):
                if not number and self._is_enough():
                    break
                yield number, job
                self._done += 1

    def _sorted(self, number: int, left: Sequence[int]) -> list[int]:
        """Return the jobs of a round, shuffled, or in the order of the first one."""
        shuffled = [int(job) for job in np.random.default_rng(number).permutation(left)]
        if number or not self.rounds.chosen:
            return shuffled
        place = {job: place for place, job in enumerate(self.rounds.order)}
        return sorted(shuffled, key=lambda job: place.get(job, len(place)))

    def _is_enough(self) -> bool:
        """Tell whether no more jobs can be repeated often enough in the time."""
        if not self.rounds.chosen or self._done < MIN_JOBS:
            return False
        times = min(self.rounds.enough, self.rounds.most)
        return self.state.seconds() > self.rounds.seconds / times

    def _left(self, number: int) -> list[int]:
        """Return the jobs to measure in a round, counted from 0, as often as they are measured."""
        found = self.state.estimates()
        self._noise = found.noise
        done = {*self.state.refused, *range(self.state.references)}
        if number and self.rounds.chosen:
            done |= {*range(self.jobs)} - {*found.jobs}
        if number >= self.rounds.least:
            done |= {j for j, e in found.jobs.items() if e.width <= self.rounds.narrow}
        return [
            job
            for job in range(self.jobs)
            if job not in done
            for _ in range(self._owed(job, number, found.jobs.get(job)))
        ]

    def _owed(self, job: int, number: int, known: Estimate | None) -> int:
        """Return how often a job is still to be measured in a round."""
        if known is None:
            return 1
        visits = self.rounds.visits_of(known.ms) if self.state.is_network(job) else 1
        return min(max(visits * number + 1 - known.rounds, 0), visits)

    def progress(self, number: int) -> MeasuringProgress:
        """Return how far the measurement is."""
        taken = self.state.seconds()
        done = self._done + 1
        pace = taken / done
        left = min(pace * max(self._expected - done, 0), max(self.rounds.seconds - taken, 0.0))
        return MeasuringProgress(
            done=done,
            total=done + round(left / pace) if pace else max(self._expected, done),
            seconds_left=left,
            round=number + 1,
            noise=self._noise,
        )
