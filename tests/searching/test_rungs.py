"""Rungs: their ends, who is promoted, and the expected results of the others."""

import numpy as np
import pytest

from nas.core.errors import BadValue
from nas.searching.rungs import crowding, expected, order, promoted, schedule


def test_every_rung_is_eta_times_as_long_as_the_one_before() -> None:
    assert schedule(27, rungs=4, eta=3) == (1, 3, 9, 27)
    assert schedule(8, rungs=2, eta=2) == (4, 8)
    assert schedule(5, rungs=1, eta=2) == (5,)


def test_rungs_end_at_the_nearest_epoch() -> None:
    assert schedule(8, rungs=2, eta=3) == (3, 8)  # 2.67
    assert schedule(20, rungs=3, eta=3) == (2, 7, 20)  # 2.22, 6.67
    assert schedule(2, rungs=2, eta=3) == (1, 2)  # 0.67


def test_a_fractional_number_of_promotions_is_rounded_up() -> None:
    scores = np.arange(7.0)[:, None]
    assert [int(promoted(scores, eta=eta).sum()) for eta in (2, 3, 6, 7, 9)] == [4, 3, 2, 1, 1]


def test_a_schedule_begins_with_a_whole_epoch() -> None:
    assert schedule(4, rungs=5, eta=4) == (1, 4)
    assert schedule(1, rungs=3, eta=3) == (1,)


@pytest.mark.parametrize("given", [(0, 1, 2), (5, 0, 2), (5, 2, 1)])
def test_a_schedule_of_nothing_is_refused(given: tuple[int, int, int]) -> None:
    epochs, rungs, eta = given
    wrong = ("epochs", "rungs", "eta")[[epochs < 1, rungs < 1, eta < 2].index(True)]
    with pytest.raises(BadValue, match=f"^{wrong} must be . or more, not"):
        schedule(epochs, rungs=rungs, eta=eta)


def test_the_front_is_promoted_before_what_it_dominates() -> None:
    scores = np.array([[1.0, 4.0], [2.0, 5.0], [4.0, 1.0], [5.0, 5.0], [2.0, 2.0], [6.0, 6.0]])
    assert promoted(scores, eta=2).tolist() == [True, False, True, False, True, False]


def test_within_a_rank_the_ends_and_the_isolated_are_promoted() -> None:
    scores = np.array([[0.0, 10.0], [1.0, 9.0], [1.5, 8.5], [6.0, 3.0], [10.0, 0.0]])
    assert promoted(scores, eta=2).tolist() == [True, False, False, True, True]


def test_with_one_objective_the_best_are_promoted() -> None:
    scores = -np.array([[0.3], [0.9], [0.5], [0.8]])
    assert promoted(scores, eta=2).tolist() == [False, True, False, True]
    assert order(scores).tolist() == [1, 3, 2, 0]


def test_failures_are_never_promoted_nor_make_room() -> None:
    scores = np.array([[np.nan], [np.nan], [np.nan], [1.0], [2.0]])
    assert promoted(scores, eta=2).tolist() == [False, False, False, True, False]
    assert not promoted(np.full((3, 2), np.nan), eta=3).any()


def test_crowding_is_the_share_of_the_gap() -> None:
    points = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]])
    assert crowding(points).tolist() == [np.inf, 2.0, np.inf]
    assert crowding(np.zeros((3, 1))).tolist() == [np.inf, 0.0, np.inf]


def test_crowding_depends_on_neither_origin_nor_unit() -> None:
    points = np.array([[0.62, 41.0], [0.63, 45.0], [0.66, 48.0], [0.67, 61.0]])
    assert crowding(points)[1:3] == pytest.approx([4 / 5 + 7 / 20, 4 / 5 + 16 / 20])
    assert crowding(1e3 * points - 700) == pytest.approx(crowding(points))


def test_errors_shrink_as_those_of_the_others() -> None:
    before, after = np.array([0.5, 0.6, 0.2]), np.array([0.75, 0.8, 0.9])
    assert expected(0.4, before=before, after=after) == pytest.approx(0.7)


def test_nobody_is_expected_to_get_worse_or_to_gain_from_nothing() -> None:
    assert expected(0.4, before=np.array([0.5]), after=np.array([0.3])) == 0.4
    assert expected(0.4, before=np.zeros(0), after=np.zeros(0)) == 0.4
    assert expected(0.4, before=np.array([1.0]), after=np.array([1.0])) == 0.4
