"""Estimates: quartiles and intervals by hand, cancelled drift, and the coverage of intervals."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.latency.measure.estimates import (
    Estimate,
    at_usual_speed,
    estimate,
    quantile,
    reference_ms,
    speed,
)
from nas.latency.measure.samples import Repetition


def _repetitions(times: list[float], *, begin: int = 0, slower: float = 1.0) -> list[Repetition]:
    """Return repetitions of job 2, each between two of the references: jobs 0 and 1 in turn."""
    usual = (2.0 * slower, 6.0 * slower)
    found = [Repetition(0, begin, 0.0, usual[0], usual[0])]
    for i, ms in enumerate(times):
        job = (i + 1) % 2
        found.append(Repetition(2, begin, i + 0.5, ms, ms))
        found.append(Repetition(job, begin, i + 1.0, usual[job], usual[job]))
    return found


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([4.0], (4.0, 4.0, 4.0)),
        ([1.0, 4.0, 2.0], (1.5, 1.0, 4.0)),
        ([4.0, 1.0, 3.0, 2.0], (1.75, 1.0, 4.0)),
        # of ten, at places 9 / 4 -+ 1.645 * sqrt(10 * 3 / 16), counted from 0: 0 to 5
        ([float(n) for n in (10, 3, 8, 1, 6, 5, 7, 4, 9, 2)], (3.25, 1.0, 6.0)),
        # of twenty, at 19 / 4 -+ 3.2: 1 to 8
        ([float(n) for n in range(20, 0, -1)], (5.75, 2.0, 9.0)),
        # of forty, at 39 / 4 -+ 4.5: 5 to 15
        ([float(n) for n in range(40, 0, -1)], (10.75, 6.0, 16.0)),
    ],
)
def test_lower_quartile_and_interval_match_hand_computation(
    times: list[float], wanted: tuple[float, float, float]
) -> None:
    found = estimate(_repetitions(times), references=2).jobs[2]
    assert (found.ms, found.low_ms, found.high_ms) == pytest.approx(wanted)
    assert found.rounds == len(times)
    assert found.width == pytest.approx((wanted[2] - wanted[1]) / 2 / wanted[0])


def test_one_slow_repetition_does_not_count() -> None:
    found = estimate(_repetitions([1.0] * 9 + [1000.0]), references=2)
    assert found.jobs[2] == Estimate(ms=1.0, low_ms=1.0, high_ms=1.0, rounds=10)


def test_a_reference_that_was_disturbed_once_does_not_count() -> None:
    repetitions = _repetitions([1.0] * 20)
    repetitions[20] = replace(repetitions[20], ms=50.0, median_ms=50.0)
    assert at_usual_speed(repetitions, references=2)[2] == pytest.approx(np.ones(20))


def test_what_makes_one_reference_slower_than_another_is_no_drift() -> None:
    repetitions = _repetitions([1.0] * 8)
    assert reference_ms(repetitions, references=2) == {0: 2.0, 1: 6.0}
    found = estimate(repetitions, references=2)
    assert found.reference_ms == {0: 2.0, 1: 6.0}
    assert found.noise == 0.0
    assert at_usual_speed(repetitions, references=2)[2] == pytest.approx(np.ones(8))


DRIFTS: dict[str, Callable[[float], float]] = {
    "a slow wave": lambda at: 1 + 0.3 * math.sin(at / 40),
    "slower and slower": lambda at: 1 + at / 200,
    "a step": lambda at: 1.0 if at < 100.25 else 1.5,
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_slows_all_alike_cancels(drift: str) -> None:
    slow = DRIFTS[drift]
    rng = np.random.default_rng(0)
    true = {0: 2.0, 1: 7.0, 2: 5.0, 3: 0.2, 4: 31.0}
    repetitions = []
    for i in range(200):
        for step, job in enumerate((i % 2, *rng.permutation([2, 3, 4]).tolist())):
            at = i + step / 4
            ms = true[job] * slow(at)
            repetitions.append(Repetition(job, 0, at, ms, ms))
    found = estimate(repetitions, references=2)
    factor = found.reference_ms[0] / true[0]  # how slow the machine usually was
    assert found.reference_ms[1] / true[1] == pytest.approx(factor, rel=0.01)
    for job in (2, 3, 4):
        assert found.jobs[job].ms == pytest.approx(factor * true[job], rel=0.02)
        assert found.jobs[job].ms / found.jobs[2].ms == pytest.approx(true[job] / 5.0, rel=0.005)
        assert found.jobs[job].width < 0.02
    raw = [v.ms for v in repetitions if v.job == 2]
    assert np.ptp(raw) / np.median(raw) > 0.3  # while the times themselves are inaccurate


def test_processes_that_ran_at_different_speeds_agree() -> None:
    repetitions = [
        *_repetitions([1.0, 1.0, 1.0]),
        *_repetitions([3.0, 3.0, 3.0], begin=1, slower=3.0),
    ]
    found = estimate(repetitions, references=2)
    assert found.reference_ms == {0: 2.0, 1: 6.0}  # the usual speed is that of the faster one
    assert at_usual_speed(repetitions, references=2)[2] == pytest.approx([1.0] * 6)
    assert found.jobs[2].ms == pytest.approx(1.0)


def test_a_process_that_measured_no_reference_is_left_out() -> None:
    lost = [Repetition(2, 1, 0.1, 99.0, 99.0), Repetition(3, 1, 0.2, 99.0, 99.0)]
    found = estimate([*_repetitions([1.0, 1.0]), *lost], references=2)
    assert found.jobs == {2: Estimate(ms=1.0, low_ms=1.0, high_ms=1.0, rounds=2)}
    assert estimate(lost, references=2).jobs == estimate([], references=2).jobs == {}


def test_two_sessions_are_compared_by_the_references_of_both() -> None:
    then = {"a": 2.0, "b": 6.0, "old": 1.0}
    assert speed(then, then) == 1.0
    assert speed({"a": 4.0, "b": 12.0}, then) == pytest.approx(2.0)
    assert speed({"a": 2.0 * 1.21, "b": 6.0, "new": 9.0}, then) == pytest.approx(1.1)
    assert speed(then, {"a": 4.0, "b": 12.0}) == pytest.approx(0.5)
    for now in ({}, {"new": 9.0}):
        with pytest.raises(NasError, match="no reference network of the table was measured now"):
            speed(now, then)


def test_noise_is_that_of_the_references() -> None:
    times = (1.8, 1.9, 2.0, 2.1, 2.4)
    repetitions = [Repetition(0, 0, float(i), ms, ms) for i, ms in enumerate(times)]
    repetitions += [
        Repetition(1, 0, i + 0.2, 3 * v.ms, 3 * v.ms) for i, v in enumerate(repetitions)
    ]
    repetitions += [Repetition(2, 0, 2.5, 1.0, 1.2), Repetition(2, 0, 2.6, 1.0, 1.05)]
    found = estimate(repetitions, references=2)
    assert found.reference_ms == pytest.approx({0: 1.9, 1: 5.7})
    assert found.noise == pytest.approx(0.1 / 1.9)  # each is off by 0.1, 0, 0.1, 0.2, 0.5 ms


@pytest.mark.parametrize("rounds", [10, 16, 20, 30])
def test_about_ninety_of_a_hundred_intervals_hold_the_true_quartile(rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    jobs = 1500
    repetitions = [Repetition(0, 0, 0.0, 1.0, 1.0)]
    for job in range(1, jobs + 1):  # skewed noise, as of a busy machine; its quartile is ln 4/3
        times = 1 + rng.exponential(0.1, rounds)
        repetitions += [Repetition(job, 0, 0.0, float(ms), float(ms)) for ms in times]
    found = estimate(repetitions, references=1).jobs.values()
    covered = np.mean([e.low_ms <= 1 + 0.1 * math.log(4 / 3) <= e.high_ms for e in found])
    assert 0.86 < covered < 0.98


def test_quantile_is_what_a_new_case_stays_within() -> None:
    assert quantile(np.arange(1.0, 10.0)) == 9.0
    assert quantile(np.arange(19.0, 0.0, -1.0)) == 18.0
    assert quantile(np.array([0.5])) == 0.5
    rng = np.random.default_rng(0)
    within = [abs(rng.normal()) <= quantile(np.abs(rng.normal(size=40))) for _ in range(2000)]
    assert 0.87 < np.mean(within) < 0.93
