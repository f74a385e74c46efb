"""The grid of alpha, beta and gamma: its budget, and the costs the formula predicts."""

from dataclasses import replace
from functools import cache
from math import sqrt
from typing import Any

import pytest

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost
from nas.network.memory import TooLarge
from nas.network.zoo import load_architecture
from nas.scaling.formula import Compound, grow
from nas.scaling.grid import Budget, Point, grid

B0 = load_architecture("efficientnet_b0")


@cache
def points(by: str) -> tuple[Point, ...]:
    return grid(B0, Budget(by=by), table=load_table("pixel1"))


def test_the_grid_is_every_point_that_keeps_the_constraint() -> None:
    axis = [round(1 + i * 0.05, 6) for i in range(30)]
    wanted = {
        (a, b, c)
        for a in axis
        for b in axis
        for c in axis
        if abs(a * b**2 * c**2 - 2) <= 0.1 + 1e-9
    }
    assert {(p.by.alpha, p.by.beta, p.by.gamma) for p in points("formula")} == wanted
    assert len(wanted) == len(points("formula")) == 111


def test_predictions_from_the_rounded_networks_are_close_to_the_counted_macs() -> None:
    errors = [abs(p.prediction_error) for p in points("formula")]
    assert max(errors) < 0.026
    assert all(p.cost == cost(p.arch) for p in points("formula"))


def test_the_plain_formula_misses_by_up_to_forty_percent() -> None:
    base = cost(B0).macs
    errors = [p.formula_error for p in points("formula")]
    assert errors[0] == pytest.approx(
        points("formula")[0].by.growth * base / points("formula")[0].cost.macs - 1
    )
    assert min(errors) == pytest.approx(-0.40, abs=0.01)
    assert max(errors) == pytest.approx(0.02, abs=0.01)


def test_networks_of_one_budget_cost_the_same_as_they_are_built() -> None:
    assert Budget().by == "macs"
    assert len({point.arch.fingerprint for point in points("macs")}) == 20
    for point in points("macs"):
        assert point.times == point.ratio == cost(point.arch).macs / cost(B0).macs
        assert 1.9 <= point.times <= 2.1


def test_the_formula_is_no_budget_of_costs() -> None:
    times = [point.times for point in points("formula")]
    assert (min(times), max(times)) == pytest.approx((1.93, 3.33), abs=0.01)


def test_a_budget_of_latency_bounds_what_the_table_predicts() -> None:
    table = load_table("pixel1")
    start = table.predict(B0).ms
    assert len(points("latency")) > 20
    for point in points("latency"):
        assert 1.9 <= table.predict(point.arch).ms / start <= 2.1


def test_networks_are_those_of_one_step_of_phi() -> None:
    for point in points("formula")[:5]:
        assert point.arch == grow(B0, 1, point.by)


def test_a_finer_grid_contains_the_coarser() -> None:
    coarse = {p.by for p in grid(B0, Budget(by="formula", step=0.1))}
    assert coarse < {p.by for p in points("formula")}


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"by": "flops"}, "unknown budget 'flops'"),
        ({"factor": 1.0}, "budget must be above 1"),
        ({"factor": float("nan")}, "budget must be above 1"),
        ({"tolerance": 0.0}, "tolerance must be between 0 and 1"),
        ({"tolerance": float("nan")}, "tolerance must be"),
        ({"step": 0.0}, "step must be from"),
    ],
)
def test_budgets_are_checked(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        Budget(**budget)


def test_an_empty_grid_names_the_nearest_point() -> None:
    with pytest.raises(NasError, match=r"in steps of 0.9 .* \(the nearest: 1.900\)"):
        grid(B0, Budget(by="formula", step=0.9, tolerance=0.01))


def test_a_grid_of_too_many_points_is_refused() -> None:
    with pytest.raises(NasError, match="take a larger `step`"):
        grid(B0, Budget(step=0.005, factor=10))


def test_latency_needs_a_table() -> None:
    with pytest.raises(NasError, match="`latency_table`"):
        grid(B0, Budget(by="latency"))


def test_a_base_beyond_the_memory_is_refused() -> None:
    wide = Block(kind="conv", in_channels=3, out_channels=100_000)
    with pytest.raises(TooLarge, match="take a smaller `budget` or base"):
        grid(Architecture(resolution=10_000, stem=(wide,), stages=(), head=()), Budget())


def test_resolution_alone_reaches_the_square_root() -> None:
    most = max(points("formula"), key=lambda point: point.by.gamma)
    assert most.by.gamma <= sqrt(2.1)
    assert replace(most.by, gamma=1.0) in (Compound(alpha=1, beta=1, gamma=1),
                                           Compound(alpha=1.05, beta=1, gamma=1))  # fmt: skip
