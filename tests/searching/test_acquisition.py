"""The selection of the most promising candidates."""

import numpy as np
import pytest

from nas.searching.acquisition import improvement, improvement_over_sorted, select_batch

LINE = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]])


def test_a_gain_is_the_distance_to_the_front() -> None:
    front = LINE
    assert improvement_over_sorted(np.array([[1.5, 2.0]]), front, np.ones(2)) == pytest.approx(0.5)
    assert improvement_over_sorted(np.array([[2.0, 2.0]]), front, np.ones(2)) == pytest.approx(0.0)
    assert improvement_over_sorted(np.array([[3.0, 2.5]]), front, np.ones(2)) == pytest.approx(-1.0)


def test_a_gain_beyond_the_fast_end_is_positive() -> None:
    assert improvement_over_sorted(np.array([[3.5, 0.5]]), LINE, np.ones(2))[0] > 0


def test_a_gain_in_three_objectives_is_the_smallest_over_the_front() -> None:
    front = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    improvement = improvement_over_sorted(
        np.array([[0.5, 0.5, 1.0], [2.0, 2.0, 2.0]]), front, np.ones(3)
    )
    assert improvement == pytest.approx([0.5, -1.0])


def test_the_promising_are_ahead_of_the_front_and_of_each_other() -> None:
    front = np.array([[0.0, 4.0], [4.0, 0.0]])
    scores = np.array([[1.0, 1.0], [1.1, 1.1], [-1.0, 3.0], [5.0, 5.0], [np.nan, 0.0]])
    assert improvement(scores, front) == pytest.approx([0.75, 0.725, 0.25, -0.25, -np.inf])
    none = np.zeros(5)
    assert select_batch(scores, none, front, count=2).tolist() == [0, 2]
    assert select_batch(scores, none, front, count=9)[-1] == 4
    assert select_batch(scores, np.array([9.0, 0, 0, 0, 0]), front, count=1).tolist() == [1]
    assert improvement(scores, front[:0]).tolist() == [0, 0, 0, 0, -np.inf]
