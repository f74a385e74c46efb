"""The grid of alpha, beta and gamma that is searched, all within a budget (Tan & Le, 2019)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isfinite, sqrt

from nas.core.errors import BadValue, NasError, unknown
from nas.core.machine import machine_memory
from nas.latency.table import Latency, LatencyTable
from nas.network.blocks import Architecture
from nas.network.cost import Cost, cost
from nas.network.memory import check_memory, memory
from nas.network.multipliers import DIVISOR
from nas.scaling.formula import Compound, grow, predict_macs

MEASURES = ("macs", "latency", "formula")
_MAX_LOOKED_AT = 200_000
_MAX_BUDGET, _STEPS = 16.0, (0.005, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The cost of one step of phi: `factor` times that of the base, plus or minus `tolerance`.

    With `by` "macs", the cost is the MACs of the scaled network, counted after rounding channels,
    blocks and pixels; with "latency", the prediction by a table; with "formula", the paper's
    constraint alpha * beta^2 * gamma^2, which does not bound a network's cost: rounding adds up to
    two thirds in EfficientNet-B0's grid. `step` is the step of the grid.

    Raises:
        NasError: if a value is unknown or out of range.
    """

    by: str = "macs"
    factor: float = 2.0
    tolerance: float = 0.1
    step: float = 0.05

    def __post_init__(self) -> None:
        if self.by not in MEASURES:
            raise unknown("budget", self.by, MEASURES)
        if not (isfinite(self.factor) and 1 < self.factor <= _MAX_BUDGET):
            raise BadValue(
                f"budget must be above 1 and at most {_MAX_BUDGET:g}, not {self.factor:g}"
            )
        if not 0 < self.tolerance < self.factor - 1:
            raise BadValue(
                f"tolerance must be between 0 and {self.factor - 1:g}, the budget minus 1, "
                f"not {self.tolerance:g}"
            )
        if not _STEPS[0] <= self.step <= _STEPS[1]:
            raise BadValue(f"step must be from {_STEPS[0]} to {_STEPS[1]:g}, not {self.step:g}")

    @property
    def most(self) -> float:
        """The largest allowed growth."""
        return self.factor + self.tolerance

    def distance(self, ratio: float) -> float:
        """Return the distance of a growth from the budget."""
        return abs(ratio - self.factor)

    def holds(self, ratio: float) -> bool:
        """Return whether a growth is within the tolerance."""
        return self.distance(ratio) <= self.tolerance + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of the grid with its network.

    `ratio` is the quantity that the budget bounds and `times` the counted MACs, both in multiples
    of the base's. `predicted_macs` is the formula applied to the rounded network, unit by unit;
    applied only to alpha, beta and gamma, it predicts `by.growth` times the base's MACs.
    """

    by: Compound
    arch: Architecture
    ratio: float
    times: float
    cost: Cost
    predicted_macs: float
    latency: Latency | None = None

    @property
    def prediction_error(self) -> float:
        """The relative error of the MACs predicted from the rounded network, a fraction."""
        return self.predicted_macs / self.cost.macs - 1

    @property
    def formula_error(self) -> float:
        """The relative error of the MACs predicted from only alpha, beta, gamma, a fraction."""
        return self.by.growth / self.times - 1


def grid(
    base: Architecture,
    budget: Budget,
    *,
    table: LatencyTable | None = None,
    multiple: int = DIVISOR,
) -> tuple[Point, ...]:
    """Return all points within `budget`, in the order of alpha, beta and gamma.

    Raises:
        NasError: if there are none or too many, or a budget of latency has no table.
        TooLarge: if a network of the grid would not fit into the memory of this machine.
    """
    if budget.by == "latency" and table is None:
        raise NasError("a budget of latency needs a table: `latency_table`")
    _check_size(base, budget)

    def network(by: Compound) -> Architecture:
        name = f"{base.name}-{by.alpha:g}-{by.beta:g}-{by.gamma:g}".lstrip("-")
        return replace(grow(base, 1, by, multiple=multiple), name=name)

    def measured(arch: Architecture) -> float:
        return table.predict(arch).ms if table and budget.by == "latency" else cost(arch).macs

    start = measured(base)
    plain = budget.by == "formula"
    seen = list(_walk(budget, lambda by: by.growth if plain else measured(network(by)) / start))
    kept = [(by, ratio) for by, ratio in seen if budget.holds(ratio)]
    if not kept:
        nearest = min((ratio for _, ratio in seen), key=budget.distance)
        raise NasError(
            f"no alpha, beta, gamma in steps of {budget.step:g} come within {budget.tolerance:g} "
            f"of {budget.factor:g} times the {budget.by} (the nearest: {nearest:.3f}); "
            "take a smaller `step` or a larger `tolerance`"
        )
    return tuple(_point(base, network(by), by, ratio, table) for by, ratio in kept)


def _check_size(base: Architecture, budget: Budget) -> None:
    """Reject a grid of too many points, and networks that do not fit into memory."""
    side = (sqrt(budget.most) - 1) / budget.step + 1
    count = ((budget.most - 1) / budget.step + 1) * side**2 / 3
    if count > _MAX_LOOKED_AT:
        raise BadValue(f"a step of {budget.step:g} gives {count:,.0f} points; take a larger `step`")
    widest = Compound(gamma=sqrt(budget.most), alpha=1, beta=1)
    check_memory(
        memory(base, widest.at(1)).building,
        what=f"a network of {budget.most:g} times the cost of {base.name or base.fingerprint}",
        limit=machine_memory(),
        then="take a smaller `budget` or base",
    )


def _walk(budget: Budget, ratio: Callable[[Compound], float]) -> Iterator[tuple[Compound, float]]:
    """Yield the points from 1 upwards with their growth; each axis ends past the budget."""
    for alpha in _axis(budget):
        for beta in _axis(budget):
            for gamma in _axis(budget):
                by = Compound(alpha=alpha, beta=beta, gamma=gamma)
                grown = ratio(by)
                yield by, grown
                if grown > budget.most:
                    break
            if gamma == 1.0:
                break
        if beta == 1.0 and gamma == 1.0:
            break


def _axis(budget: Budget) -> Iterator[float]:
    """Yield 1, 1 + step, ... as far as the budget may reach, without accumulating errors."""
    for number in range(int((_MAX_BUDGET - 1) / budget.step) + 2):
        yield round(1 + number * budget.step, 6)


def _point(
    base: Architecture,
    arch: Architecture,
    by: Compound,
    ratio: float,
    table: LatencyTable | None,
) -> Point:
    found = cost(arch)
    return Point(
        by=by,
        arch=arch,
        ratio=ratio,
        times=found.macs / cost(base).macs,
        cost=found,
        predicted_macs=predict_macs(base, arch),
        latency=table.predict(arch) if table else None,
    )
