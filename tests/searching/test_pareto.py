"""Dominance and hypervolume against brute force, Monte Carlo and results by hand."""

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.searching.pareto import hypervolume, non_dominated, pareto_front, ranks


def _brute(points: np.ndarray) -> list[bool]:
    """Of equal rows the first one stays; NaN never does."""
    keep = []
    for i, one in enumerate(points):
        beaten = np.isnan(one).any()
        for j, other in enumerate(points):
            if (other <= one).all() and ((other < one).any() or j < i):
                beaten = True
        keep.append(not beaten)
    return keep


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_front_equals_brute_force(objectives: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 8, (60, objectives)).astype(float)  # coarse, so that many are equal
    points[rng.random(points.shape) < 0.03] = np.nan
    assert non_dominated(points).tolist() == _brute(points)


def test_ties_in_one_objective_are_dominated() -> None:
    points = np.array([[1.0, 2.0], [1.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    assert non_dominated(points).tolist() == [False, True, False, True]


def test_nothing_has_an_empty_front() -> None:
    assert non_dominated(np.zeros((0, 2))).tolist() == []
    assert not non_dominated(np.full((3, 2), np.nan)).any()
    assert pareto_front([]).tolist() == []
    assert pareto_front(np.zeros((0, 2)), ["max", "min"]).tolist() == []


def test_members_of_equal_first_values_keep_their_order() -> None:
    rise = np.arange(200.0)
    points = np.stack([rise % 2, rise, -rise], axis=1)
    assert pareto_front(points).tolist() == [*range(0, 200, 2), *range(1, 200, 2)]


def test_ranks_peel_off_fronts() -> None:
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 0.5], [np.nan, 0.0]])
    assert ranks(points).tolist() == [0, 1, 0, 1, 5]
    assert ranks(np.full((4, 2), np.nan)).tolist() == [4] * 4
    assert ranks(np.zeros((0, 2))).tolist() == []


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_ranks_count_the_longest_chain_of_dominance(objectives: int) -> None:
    """NSGA-II: the rank of a row is one more than the worst rank of a row that dominates it."""
    points = np.random.default_rng(objectives).integers(0, 5, (50, objectives)).astype(float)
    found = ranks(points)
    for one, rank in zip(points, found, strict=True):
        over = (points <= one).all(axis=1) & (points < one).any(axis=1)
        assert rank == max((found[over] + 1).tolist(), default=0)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_infinity_is_a_number_like_others(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    choices = np.array([-np.inf, 0.0, 1.0, np.inf])
    for _ in range(30):
        points = choices[rng.integers(0, 4, (6, objectives))]
        assert non_dominated(points).tolist() == _brute(points)


def test_named_directions() -> None:
    rows = [[0.70, 60.0], [0.75, 80.0], [0.69, 70.0], [0.75, 81.0]]
    assert pareto_front(rows, ["max", "min"]).tolist() == [0, 1]
    assert pareto_front(rows).tolist() == [2, 0]
    for points, directions, message in [
        (rows, ["max"], "one direction per objective"),
        (rows, ["max", "low"], "must be min or max, not max, low"),
        ([1.0, 2.0], [], r"shape \(n, objectives\)"),
    ]:
        with pytest.raises(NasError, match=message):
            pareto_front(points, directions)


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([[2.0], [3.0]], [5.0], 3.0),
        ([[1.0, 1.0]], [3.0, 4.0], 6.0),
        ([[1.0, 3.0], [2.0, 1.0], [2.0, 2.0]], [4.0, 4.0], 3.0 + 6.0 - 2.0),
        ([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], [3.0, 3.0, 3.0], 8.0),
        ([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [4.0, 4.0, 4.0], 6.0 + 6.0 - 2.0),
    ],
)
def test_hypervolume_by_hand(
    points: list[list[float]], reference: list[float], volume: float
) -> None:
    assert hypervolume(np.array(points), np.array(reference)) == pytest.approx(volume)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_equals_monte_carlo(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.random((25, objectives))
    darts = rng.random((100_000, objectives))
    hit = np.zeros(len(darts), dtype=bool)
    for point in points:
        hit |= (darts >= point).all(axis=1)
    found = hypervolume(points, np.ones(objectives))
    assert found == pytest.approx(hit.mean(), abs=0.006)  # four deviations of the darts


def test_hypervolume_ignores_what_is_outside_dominated_or_nan() -> None:
    reference = np.array([1.0, 1.0])
    points = np.array([[0.5, 0.5]])
    more = np.array([[0.5, 0.5], [0.6, 0.7], [0.1, 1.0], [2.0, 0.0], [np.nan, 0.1]])
    assert hypervolume(more, reference) == hypervolume(points, reference) == 0.25
    assert hypervolume(points[:0], reference) == 0.0


def test_hypervolume_does_not_depend_on_the_order() -> None:
    points = np.random.default_rng(0).random((30, 3))
    one, other = hypervolume(points, np.ones(3)), hypervolume(points[::-1], np.ones(3))
    assert one == pytest.approx(other)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_one_point_dominates_a_box_of_unequal_sides(objectives: int) -> None:
    point, reference = np.arange(objectives) / 10, 1.0 + np.arange(objectives) ** 2
    assert hypervolume(point[None], reference) == pytest.approx(float(np.prod(reference - point)))
    both = np.array([point, point[::-1]])
    flipped = hypervolume(both[:, ::-1], reference[::-1])
    assert hypervolume(both, reference) == pytest.approx(flipped)
