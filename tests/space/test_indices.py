"""Indices out of range and matrices of another shape are refused everywhere."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nas.core.errors import NotInSpace
from nas.core.plugins import Plugin, create
from nas.network.cost import cost, cost_of
from nas.searching.problem import Candidates
from nas.space.lookup import Lookup
from nas.space.space import Space


@pytest.mark.parametrize("name", ["published", "costs"])
def test_evaluators_refuse_them_too(name: str, tiny: Space) -> None:
    evaluator = create("evaluators", Plugin.parse(name), tiny)
    for column, width in enumerate(tiny.widths):
        rows = tiny.sample_matrix(np.random.default_rng(0), 3)
        rows[1, column] = width
        with pytest.raises(NotInSpace, match=tiny.columns[column].name):
            evaluator(Candidates(space=tiny, picks=rows))


@pytest.fixture(params=["active", "canonical", "decode_rows", "lookup"])
def entry(request: pytest.FixtureRequest, tiny: Space) -> Callable[[Any], Any]:
    if request.param == "lookup":
        return Lookup(tiny, lambda unit: (cost_of(unit).macs,))
    found: Callable[[Any], Any] = getattr(tiny, request.param)
    return found


@pytest.mark.parametrize("index", [3, 200, 255])
def test_indices_without_a_value_are_refused(
    tiny: Space, entry: Callable[[Any], Any], index: int
) -> None:
    rows = tiny.sample_matrix(np.random.default_rng(0), 3)
    column = int(np.argmin(tiny.widths))
    rows[1, column] = index
    name = tiny.columns[column].name
    with pytest.raises(NotInSpace, match=rf"^space tiny: index {index} for {name} in row 1, whose"):
        entry(rows)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:, 1:],
        lambda rows: rows[0],
        lambda rows: rows.astype(float),
        lambda rows: rows.astype(np.int64) - 1,
    ],
)
def test_other_matrices_are_refused(tiny: Space, entry: Callable[[Any], Any], change: Any) -> None:
    with pytest.raises(NotInSpace, match=r"^space tiny: (a matrix of|index -1)"):
        entry(change(tiny.canonical(np.zeros((2, len(tiny.columns)), np.uint8))))


def test_larger_whole_numbers_are_taken(tiny: Space) -> None:
    rows = tiny.sample_matrix(np.random.default_rng(0), 3)
    archs = tiny.decode_rows(rows.astype(np.int64))
    assert archs == tiny.decode_rows(rows)
    macs = Lookup(tiny, lambda unit: (cost_of(unit).macs,))(rows.astype(np.int64))
    assert macs[:, 0].tolist() == [cost(arch).macs for arch in archs]
