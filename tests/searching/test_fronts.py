"""The front of trials, its reference point, and the progress of its hypervolume."""

import numpy as np
import pytest

from nas.searching.fronts import (
    BEST_OF_ONE,
    front_numbers,
    is_affordable,
    progress_of_hypervolume,
    reference_point,
    signed,
)
from nas.searching.pareto import hypervolume
from nas.searching.problem import INFEASIBLE, OK, Constraint, Objective, Trials

BOTH = (Objective.parse("max:top1"), Objective.parse("min:latency_ms"))


def _trials(top1: list[float], ms: list[float], status: list[str] | None = None) -> Trials:
    count = len(top1)
    return Trials(
        first=0,
        picks=np.arange(count, dtype=np.uint8)[:, None],
        metrics={"top1": np.array(top1), "latency_ms": np.array(ms)},
        status=np.array(status or [OK] * count),
    )


def test_the_front_has_no_infeasible_trial_and_each_network_once() -> None:
    trials = _trials([0.6, 0.9, 0.7, 0.5], [10.0, 1.0, 12.0, 11.0], [OK, INFEASIBLE, OK, OK])
    assert front_numbers(signed(BOTH, trials), trials).tolist() == [0, 2]
    same = Trials(
        first=0, picks=np.zeros((4, 1), np.uint8), metrics=trials.metrics, status=trials.status
    )
    assert front_numbers(signed(BOTH, same), same).tolist() == [0]


def test_of_one_objective_the_best_few_come_the_best_first() -> None:
    trials = _trials([i / 20 for i in range(20)], [1.0] * 20)
    assert front_numbers(signed(BOTH[:1], trials), trials).tolist() == list(range(19, 9, -1))
    assert BEST_OF_ONE == 10
    alike = _trials([0.9, 0.9, 0.9, 0.8], [1.0, 1.0, 2.0, 1.0])  # the first two in everything
    assert front_numbers(signed(BOTH[:1], alike), alike).tolist() == [0, 2, 3]


def test_the_reference_point_is_a_limit_the_baseline_or_the_worst() -> None:
    trials = _trials([0.6, 0.9], [10.0, 20.0])
    limit = (Constraint.parse("latency_ms<=15"),)
    assert reference_point(BOTH, limit, trials, {}).tolist() == [0.0, 15.0]
    assert reference_point(BOTH, (), trials, {"latency_ms": 12.0}).tolist() == [0.0, 24.0]
    assert reference_point(BOTH, (), trials, {}).tolist() == [0.0, 20.0]


@pytest.mark.parametrize("columns", [2, 3])
def test_progress_never_falls_and_ends_at_the_hypervolume(columns: int) -> None:
    scores = np.random.default_rng(0).random((300, columns))
    ok = scores[:, 0] < 0.9
    counts, volumes = progress_of_hypervolume(scores, ok, np.ones(columns))
    assert (counts[0], counts[-1]) == (1, 300)
    assert (np.diff(volumes) >= 0).all()
    assert volumes[-1] == pytest.approx(hypervolume(scores[ok], np.ones(columns)), rel=1e-12)
    some = counts[20]
    early = hypervolume(scores[:some][ok[:some]], np.ones(columns))
    assert volumes[20] == pytest.approx(early, rel=1e-12)


def test_no_feasible_trial_has_no_progress() -> None:
    counts, volumes = progress_of_hypervolume(np.ones((3, 2)), np.zeros(3, bool), np.ones(2))
    assert (counts.size, volumes.size) == (0, 0)


def test_a_front_that_is_too_large_has_no_progress_but_an_answer_at_once() -> None:
    assert is_affordable(100_000, 2)
    assert is_affordable(3_000, 3)
    assert not is_affordable(3_000, 4)
    scores = np.random.default_rng(0).random((2_000, 6))
    counts, _ = progress_of_hypervolume(scores, np.ones(2_000, bool), np.ones(6))
    assert counts.size == 0
