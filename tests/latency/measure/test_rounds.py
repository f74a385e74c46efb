"""Rounds of repetitions: their number and order, and what stops or delays them."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from nas.core import machine
from nas.core.errors import NasError, RunError
from nas.latency.backends import Run
from nas.latency.measure import rounds as module
from nas.latency.measure.estimates import Estimates
from nas.latency.measure.rounds import MeasuringProgress, Rounds, measure, memory_bytes
from nas.latency.measure.samples import (
    CORRECTION,
    REFERENCE,
    UNIT,
    Repetition,
    SampleFile,
    header,
    read_samples,
)

ROOT = Path(__file__).parents[3]


@dataclass(kw_only=True)
class Bench:
    """A runtime with a clock of its own, on which a run takes `seconds`, and all else nothing.

    The first of the `jobs` are `references`.
    """

    path: Path
    seconds: Callable[[int, int], float] = lambda job, run: 0.001 * (job + 1)
    jobs: int = 6
    references: int = 1
    networks: Sequence[int] = ()
    size: int = 100
    refused: Sequence[int] = ()
    now: float = 0.0
    loaded: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    runs: Counter[int] = field(default_factory=Counter)
    reports: list[MeasuringProgress] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def _load(self, job: int) -> bytes:
        self.loaded.append(job)
        return bytes([job]) * self.size

    def _open(self, model: bytes) -> Run:
        job = model[0]
        if job in self.refused:
            raise NasError(f"no kernel for job {job}")
        self.opened.append(job)

        def run() -> float:
            taken = self.seconds(job, self.runs[job])
            self.runs[job] += 1
            self.now += taken
            return taken

        return run

    def _role(self, job: int) -> str:
        if job < self.references:
            return REFERENCE
        return CORRECTION if job in self.networks else UNIT

    def measure(self, **options: float | Sequence[int]) -> Estimates:
        jobs = [
            {
                "name": str(job),
                "role": self._role(job),
                "input": [3, 8, 8],
                "blocks": [{}],
            }
            for job in range(self.jobs)
        ]
        head = header({"name": "p", "jobs": jobs}, runtime="bench 1", threads=1, dtype="fp32")
        models = [partial(self._load, job) for job in range(self.jobs)]
        rounds = Rounds(**options)  # type: ignore[arg-type]
        with closing(SampleFile(self.path, head)) as file:
            return measure(
                models, self._open, file, rounds=rounds, machine={}, report=self.reports.append
            )

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        return read_samples(self.path).repetitions

    def counts(self) -> Counter[int]:
        return Counter(
            repetition.job for repetition in self.repetitions if repetition.job >= self.references
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(path=tmp_path / "samples.jsonl")
    monkeypatch.setattr(module, "time", bench)
    return bench


def _noisy(job: int, run: int) -> float:
    return 0.001 * (job + 1) * (1 + (run // 4 % 5) / 10 if job == 3 else 1)


def test_every_job_is_measured_in_the_least_rounds_and_settled_ones_no_more(bench: Bench) -> None:
    bench.seconds = _noisy
    found = bench.measure(least=7, most=12, runs=3, repetition_seconds=0.0)
    assert bench.counts() == {1: 7, 2: 7, 3: 12, 4: 7, 5: 7}
    assert found.jobs[3].width > 0.01 >= found.jobs[2].width
    assert found.jobs[2].ms == pytest.approx(3.0)


def test_networks_that_take_little_time_are_measured_several_times_a_round(bench: Bench) -> None:
    bench.networks = (3, 4)
    bench.seconds = lambda job, run: {3: 0.0039, 4: 0.0041}.get(job, 0.001)
    options = {"least": 5, "most": 5, "short_ms": 4.0, "visits": 3}
    bench.measure(**options)
    assert bench.counts() == {1: 5, 2: 5, 3: 1 + 4 * 3, 4: 5, 5: 5}
    bench.measure(**options)  # nothing is left to resume
    assert bench.counts() == {1: 5, 2: 5, 3: 1 + 4 * 3, 4: 5, 5: 5}


def test_a_repetition_is_the_fastest_of_its_runs_after_one_to_warm_up(bench: Bench) -> None:
    bench.seconds = lambda job, run: [0.9, 0.003, 0.002, 0.007][run % 4]
    bench.measure(least=2, most=2, runs=3, repetition_seconds=0.0)
    assert {(v.ms, v.median_ms) for v in bench.repetitions} == {(2.0, 3.0)}


def test_a_short_job_is_run_until_its_repetition_is_long_enough(bench: Bench) -> None:
    bench.seconds = lambda job, run: [0.5, 0.001, 0.01, 1e-9][min(job, 3)]
    bench.measure(least=1, most=1, runs=3, repetition_seconds=0.008)
    assert bench.runs[1] == 1 + 8
    assert bench.runs[2] == 1 + 3
    assert bench.runs[3] == 1 + 20


def test_the_order_is_shuffled_every_round_and_always_the_same(bench: Bench) -> None:
    bench.jobs = 40
    bench.measure(least=3, most=3)
    order = [repetition.job for repetition in bench.repetitions if repetition.job]
    bench.path.unlink()
    bench.measure(least=3, most=3)
    assert [repetition.job for repetition in bench.repetitions if repetition.job] == order
    rounds = [order[i : i + 39] for i in (0, 39, 78)]
    assert all(sorted(one) == list(range(1, 40)) for one in rounds)
    assert all(one != other for one, other in [*pairwise(rounds), (rounds[0], sorted(rounds[0]))])


def test_the_reference_comes_first_last_and_whenever_its_time_is_over(bench: Bench) -> None:
    bench.seconds = lambda job, run: 0.01
    bench.measure(least=5, most=5, runs=3, repetition_seconds=0.0, reference_seconds=0.1)
    jobs = [repetition.job for repetition in bench.repetitions]
    assert jobs[0] == jobs[-1] == 0
    at = [repetition.at for repetition in bench.repetitions if repetition.job == 0]
    # what is over 0.1 s is noticed before the next one, which together with the reference is 0.08
    assert max(later - earlier for earlier, later in pairwise(at)) < 0.1 + 0.08 + 0.04


def test_references_take_turns_and_all_of_them_come_first_and_last(bench: Bench) -> None:
    bench.references, bench.jobs = 3, 9
    bench.seconds = lambda job, run: 0.01
    found = bench.measure(least=6, most=6, runs=3, repetition_seconds=0.0, reference_seconds=0.1)
    jobs = [repetition.job for repetition in bench.repetitions]
    assert jobs[:3] == [0, 1, 2]
    assert sorted(jobs[-3:]) == [0, 1, 2]
    turns = [job for job in jobs if job < 3]
    assert turns == [i % 3 for i in range(len(turns))]
    assert len(turns) > 12
    assert bench.counts() == dict.fromkeys(range(3, 9), 6)
    assert set(found.reference_ms) == {0, 1, 2}
    assert set(found.jobs) == set(range(3, 9))


def test_every_repetition_opens_its_model_again_and_reads_its_file_once(bench: Bench) -> None:
    bench.references = 2
    bench.measure(least=10, most=10, reference_seconds=0.0)
    assert len(bench.opened) == len(bench.repetitions)
    assert Counter(bench.loaded) == dict.fromkeys(range(6), 1)


def test_a_model_that_takes_long_to_open_stays_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.latency.measure.rounds._LONG_SECONDS", -1.0)
    bench.measure(least=3, most=3)
    assert len(bench.opened) == 6


def test_a_number_of_rounds_and_of_minutes_can_be_asked_for() -> None:
    assert Rounds.of() == Rounds()
    assert Rounds.of(5) == Rounds(least=5, most=5)
    assert Rounds.of(minutes=2) == Rounds(seconds=120)
    assert Rounds.of(1, minutes=0.5) == Rounds(least=1, most=1, seconds=30)


@pytest.mark.parametrize("minutes", [float("nan"), 0.0, -1.0])
def test_minutes_are_above_0(minutes: float) -> None:
    with pytest.raises(NasError, match=f"`minutes={minutes:g}`: it must be a number above 0"):
        Rounds.of(minutes=minutes)


def test_a_refused_job_is_noted_once_and_the_rest_continues(bench: Bench) -> None:
    bench.refused = (2, 5)
    found = bench.measure(least=3, most=3)
    assert bench.counts() == {1: 3, 3: 3, 4: 3}
    assert sorted(found.jobs) == [1, 3, 4]
    assert read_samples(bench.path).refused == {2: "no kernel for job 2", 5: "no kernel for job 5"}
    assert Counter(bench.loaded) == dict.fromkeys(range(6), 1)
    bench.measure(least=4, most=4)
    assert Counter(bench.loaded)[2] == 1  # nor is it tried again after resuming
    assert bench.counts() == {1: 4, 3: 4, 4: 4}


def test_a_refused_reference_stops_until_it_is_mended(bench: Bench) -> None:
    bench.refused = (0,)
    with pytest.raises(NasError, match="reference network cannot be measured: no kernel for job 0"):
        bench.measure(least=2, most=2)
    bench.refused = ()
    assert sorted(bench.measure(least=2, most=2).jobs) == [1, 2, 3, 4, 5]


def test_nothing_is_begun_after_the_time_budget(bench: Bench) -> None:
    bench.seconds = lambda job, run: 0.1
    bench.measure(least=50, most=50, runs=3, repetition_seconds=0.0, seconds=10.0)
    last = [repetition.at for repetition in bench.repetitions if repetition.job][-1]
    assert 9.0 < last <= 10.0
    assert bench.now < 10.0 + 3 * 0.4
    before = bench.counts()
    bench.measure(least=50, most=50, runs=3, repetition_seconds=0.0, seconds=1e9)
    assert bench.counts() == dict.fromkeys(range(1, 6), 50)
    assert sum(before.values()) < 5 * 50


def test_too_little_time_takes_those_jobs_that_come_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_JOBS", 2)
    bench.seconds, bench.jobs = lambda job, run: 0.1, 21
    order = [7, 3, 20, 11, 5, 9]
    bench.measure(repetition_seconds=0.0, seconds=20.0, order=order)
    counts = bench.counts()  # a repetition takes 0.4 s, and the reference as much beside it
    assert list(counts) == order[:5]
    assert min(counts.values()) >= 4
    bench.measure(repetition_seconds=0.0, seconds=20.0, order=order)
    more = bench.counts()  # the same again resumes with the next job
    assert set(more) > set(counts)
    assert 9 in more


def test_as_many_jobs_as_a_table_needs_are_begun_in_any_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_JOBS", 4)
    bench.seconds, bench.jobs = lambda job, run: 0.1, 21
    bench.measure(repetition_seconds=0.0, seconds=4.0, order=[7, 3, 20, 11, 5])
    assert set(bench.counts()) == {7, 3, 20, 11}


def test_enough_time_measures_all_jobs_whatever_the_order(bench: Bench) -> None:
    bench.measure(least=3, most=3, seconds=1000.0, order=[4, 2])
    assert bench.counts() == dict.fromkeys(range(1, 6), 3)
    assert [one.job for one in bench.repetitions if one.job][:2] == [4, 2]


def test_the_time_left_is_never_more_than_the_budget(bench: Bench) -> None:
    bench.seconds = lambda job, run: 0.1
    bench.measure(least=50, most=50, repetition_seconds=0.0, seconds=10.0)
    assert all(0 <= report.seconds_left <= 10.0 for report in bench.reports)
    assert all(report.done <= report.total < 60 for report in bench.reports)


def test_short_memory_drops_the_files_used_least_and_reads_them_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 450}.__getitem__)
    assert memory_bytes() == 450  # a quarter; a file has 100 bytes
    bench.measure(least=10, most=10, reference_seconds=0.0)
    loaded = Counter(bench.loaded)
    assert loaded[0] == 1  # it is used all along
    assert all(1 < loaded[job] <= 10 for job in range(1, 6))
    assert bench.counts() == dict.fromkeys(range(1, 6), 10)


def test_a_model_larger_than_the_memory_is_measured_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 1}.__getitem__)
    bench.measure(least=2, most=2)
    assert bench.counts() == dict.fromkeys(range(1, 6), 2)


def test_memory_that_cannot_be_read_is_taken_to_be_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(machine, "_CGROUPS", ())
    assert memory_bytes() == 1_000_000_000


def test_progress_never_decreases(bench: Bench) -> None:
    bench.seconds = _noisy
    bench.measure(least=4, most=9)
    reports = bench.reports
    assert [report.done for report in reports] == list(range(1, len(reports) + 1))
    assert all(earlier.round <= later.round for earlier, later in pairwise(reports))
    assert all(earlier.total >= later.total for earlier, later in pairwise(reports))
    assert all(report.total >= report.done and report.seconds_left >= 0 for report in reports)
    assert (reports[0].round, reports[0].total) == (1, 5 * 9)
    assert (reports[-1].seconds_left, reports[-1].done) == (0, reports[-1].total)


def test_a_finished_measurement_that_is_started_again_only_repetitions_the_reference(
    bench: Bench,
) -> None:
    first = bench.measure(least=4, most=4)
    before = bench.counts()
    second = bench.measure(least=4, most=4)
    assert bench.counts() == before
    assert second == first


def test_what_cannot_be_written_stops_the_measurement_and_is_no_refusal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = SampleFile.add

    def full(file: SampleFile, repetition: Repetition) -> None:
        if repetition.job == 3:
            raise RunError("no space left")
        written(file, repetition)

    monkeypatch.setattr(SampleFile, "add", full)
    with pytest.raises(RunError, match="no space left"):
        bench.measure(least=2, most=2)
    assert read_samples(bench.path).refused == {}
