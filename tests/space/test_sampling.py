"""Rows that reach further than uniform ones."""

from collections.abc import Callable

import numpy as np
import pytest

from nas.network.cost import cost
from nas.space.file import load_space
from nas.space.sampling import biased_rows, corner_rows, covering_rows, offspring
from nas.space.space import Matrix, Space


@pytest.mark.parametrize("sample", [biased_rows, corner_rows])
@pytest.mark.parametrize("name", ["mnasnet_b0", "mobilenetv3"])
def test_rows_are_legal_and_reach_further_than_uniform_ones(
    name: str, sample: Callable[[Space, np.random.Generator, int], Matrix]
) -> None:
    space = load_space(name)
    rng = np.random.default_rng(0)
    rows, uniform = sample(space, rng, 400), space.sample_matrix(rng, 400)
    assert rows.shape == uniform.shape
    assert (rows < space.widths).all()
    assert np.array_equal(space.canonical(rows), rows)
    for row in rows[:50]:
        assert space.encode(space.decode_row(row)) == space.unpack(row)

    def macs(matrix: np.ndarray) -> np.ndarray:
        return np.array([cost(space.decode_row(row)).macs for row in matrix[:150]])

    assert np.log(macs(rows)).std() > 1.3 * np.log(macs(uniform)).std()
    assert len(sample(space, rng, 0)) == 0


def test_rows_near_others_are_mostly_made_of_them() -> None:
    space = load_space("mnasnet_b0")
    rng = np.random.default_rng(0)
    known = space.sample_matrix(rng, 1)
    rows = offspring(space, known, rng, 400)
    assert np.array_equal(space.canonical(rows), rows)
    assert 0.85 < (rows == known).mean() < 0.97


def test_a_third_each_is_uniform_leaning_and_near() -> None:
    space = load_space("mnasnet_b0")
    known = space.sample_matrix(np.random.default_rng(1), 5)
    rows = covering_rows(space, known, np.random.default_rng(0), 20)
    rng = np.random.default_rng(0)
    parts = space.sample_matrix(rng, 8), corner_rows(space, rng, 6), offspring(space, known, rng, 6)
    assert np.array_equal(rows, np.concatenate(parts))
