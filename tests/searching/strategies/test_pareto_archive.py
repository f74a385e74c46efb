from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.searching.strategies._pareto_archive import ParetoArchive, spread


def _archive(objectives: int, **settings: Any) -> ParetoArchive:
    """Return an empty archive of rows with one pick."""
    problem: Any = SimpleNamespace(
        space=SimpleNamespace(columns=(0,)), objectives=(0,) * objectives
    )
    return ParetoArchive(problem, **settings)


def rows_for(scores: np.ndarray) -> np.ndarray:
    return np.arange(len(scores), dtype=np.uint8)[:, None]


def test_what_fell_behind_leaves() -> None:
    archive = _archive(2, slack=0.1, least=1)
    scores = np.array([[0.0, 10.0], [10.0, 0.0], [0.5, 10.0], [5.0, 10.0]])
    archive.add(rows_for(scores), scores)
    assert sorted(archive.rows[:, 0].tolist()) == [0, 1, 2]
    assert len(archive.front) == 2


def test_the_least_number_stays_even_if_behind() -> None:
    archive = _archive(1, slack=0.0, least=3)
    scores = np.array([[5.0], [1.0], [4.0], [2.0], [3.0]])
    archive.add(rows_for(scores), scores)
    assert sorted(archive.scores[:, 0].tolist()) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_front_is_that_of_all_rows_whatever_the_batches(objectives: int) -> None:
    scores = np.random.default_rng(0).random((300, objectives))
    whole, parts = (_archive(objectives, slack=0.0) for _ in range(2))
    whole.add(np.zeros((300, 1), np.uint8), scores)
    for part in np.array_split(scores, 7):
        parts.add(np.zeros((len(part), 1), np.uint8), part)
    assert np.array_equal(np.unique(whole.front, axis=0), np.unique(parts.front, axis=0))


def test_draws_cover_the_range_evenly_although_rows_crowd() -> None:
    crowded = np.concatenate([np.linspace(1.0, 1.01, 990), np.linspace(1.02, 2.0, 10)])
    scores = np.stack([-crowded, crowded], axis=1)
    drawn = spread(scores, 1000, (0,), np.random.default_rng(0))[0]
    assert (crowded[drawn] > 1.015).mean() > 0.6
