"""Estimates: medians and intervals by hand, what slows all alike cancels, intervals that hold."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nas.measuring.estimates import Estimate, estimate, quantile, relative
from nas.measuring.samples import Visit


def _visits(times: list[float], *, begin: int = 0, reference_ms: float = 2.0) -> list[Visit]:
    """Return visits of job 1, each between two of the reference."""
    found = [Visit(0, begin, 0.0, reference_ms, reference_ms)]
    for i, ms in enumerate(times):
        found.append(Visit(1, begin, i + 0.5, ms, ms))
        found.append(Visit(0, begin, i + 1.0, reference_ms, reference_ms))
    return found


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([4.0], (4.0, 4.0, 4.0)),
        ([1.0, 4.0, 2.0], (2.0, 1.0, 4.0)),
        ([4.0, 1.0, 3.0, 2.0], (2.5, 1.0, 4.0)),
        # of ten, (10 - 1.645 * sqrt(10)) / 2 = 2.4: two are left out at either end
        ([float(n) for n in (10, 3, 8, 1, 6, 5, 7, 4, 9, 2)], (5.5, 3.0, 8.0)),
        # of twenty, 6.3: six at either end
        ([float(n) for n in range(20, 0, -1)], (10.5, 7.0, 14.0)),
    ],
)
def test_median_and_interval_match_hand_computation(
    times: list[float], wanted: tuple[float, float, float]
) -> None:
    found = estimate(_visits(times)).jobs[1]
    assert (found.ms, found.low_ms, found.high_ms) == pytest.approx(wanted)
    assert found.rounds == len(times)
    assert found.width == pytest.approx((wanted[2] - wanted[1]) / 2 / wanted[0])


def test_one_slow_visit_does_not_count() -> None:
    assert estimate(_visits([1.0] * 9 + [1000.0])).jobs[1] == Estimate(
        ms=1.0, low_ms=1.0, high_ms=1.0, rounds=10
    )


def test_a_reference_that_was_disturbed_once_does_not_count() -> None:
    visits = _visits([1.0] * 20)
    visits[20] = replace(visits[20], ms=50.0, median_ms=50.0)
    assert relative(visits)[1] == pytest.approx(np.full(20, 0.5))


DRIFTS: dict[str, Callable[[float], float]] = {
    "a slow wave": lambda at: 1 + 0.3 * math.sin(at / 40),
    "slower and slower": lambda at: 1 + at / 200,
    "a step": lambda at: 1.0 if at < 100.25 else 1.5,
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_slows_all_alike_cancels(drift: str) -> None:
    slow = DRIFTS[drift]
    rng = np.random.default_rng(0)
    true = {1: 5.0, 2: 0.2, 3: 31.0}
    visits = []
    for i in range(200):
        for step, job in enumerate((0, *rng.permutation(list(true)).tolist())):
            at = i + step / 4
            ms = true.get(job, 2.0) * slow(at)
            visits.append(Visit(job, 0, at, ms, ms))
    found = estimate(visits)
    for job, ms in true.items():
        assert found.jobs[job].ms / found.reference_ms == pytest.approx(ms / 2.0, rel=0.005)
        assert found.jobs[job].width < 0.02
    raw = [v.ms for v in visits if v.job == 1]
    assert np.ptp(raw) / np.median(raw) > 0.3  # while the times themselves tell little


def test_processes_that_ran_at_different_speeds_agree() -> None:
    slow = _visits([3.0, 3.0], begin=1, reference_ms=6.0)
    found = estimate([*_visits([1.0, 1.0]), *slow])
    assert relative([*_visits([1.0, 1.0]), *slow])[1] == pytest.approx([0.5] * 4)
    assert found.reference_ms == 4.0  # half of its visits took 2, half 6
    assert found.jobs[1].ms == pytest.approx(2.0)


def test_a_process_that_did_not_visit_the_reference_is_left_out() -> None:
    lost = [Visit(1, 1, 0.1, 99.0, 99.0), Visit(2, 1, 0.2, 99.0, 99.0)]
    found = estimate([*_visits([1.0, 1.0]), *lost])
    assert found.jobs == {1: Estimate(ms=1.0, low_ms=1.0, high_ms=1.0, rounds=2)}
    assert estimate(lost).jobs == estimate([]).jobs == {}


def test_noise_is_the_references_and_disturbed_counts_visits_whose_runs_disagree() -> None:
    times = (1.8, 1.9, 2.0, 2.1, 2.4)
    visits = [Visit(0, 0, float(i), ms, ms) for i, ms in enumerate(times)]
    found = estimate([*visits, Visit(1, 0, 2.5, 1.0, 1.2), Visit(1, 0, 2.6, 1.0, 1.05)])
    assert found.reference_ms == 2.0
    assert found.noise == pytest.approx(0.05)  # of 10, 5, 0, 5, 20 %
    assert found.disturbed == pytest.approx(1 / 7)


@pytest.mark.parametrize("rounds", [6, 10, 20, 30])
def test_about_ninety_of_a_hundred_intervals_hold_the_true_median(rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    jobs = 1500
    visits = [Visit(0, 0, 0.0, 1.0, 1.0)]
    for job in range(1, jobs + 1):  # skewed noise, as of a busy machine; its median is ln 2
        times = 1 + rng.exponential(0.1, rounds)
        visits += [Visit(job, 0, 0.0, float(ms), float(ms)) for ms in times]
    found = estimate(visits).jobs.values()
    covered = np.mean([e.low_ms <= 1 + 0.1 * math.log(2) <= e.high_ms for e in found])
    assert 0.86 < covered < 0.98


def test_quantile_is_what_a_new_case_stays_within() -> None:
    assert quantile(np.arange(1.0, 10.0)) == 9.0
    assert quantile(np.arange(19.0, 0.0, -1.0)) == 18.0
    assert quantile(np.array([0.5])) == 0.5
    rng = np.random.default_rng(0)
    within = [abs(rng.normal()) <= quantile(np.abs(rng.normal(size=40))) for _ in range(2000)]
    assert 0.87 < np.mean(within) < 0.93
