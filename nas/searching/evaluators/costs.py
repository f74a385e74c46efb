"""Multiply-adds, parameters and activations, exact."""

from dataclasses import dataclass

from nas.network.blocks import Architecture
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit
from nas.searching.problem import Candidates, Metrics
from nas.space.heads import Detectors
from nas.space.lookup import Lookup, SpaceUnits
from nas.space.space import Space
from nas.space.with_heads import HeadLookup


@dataclass(frozen=True, slots=True)
class Costs:
    """Looks up the costs of a space's architectures."""

    lookup: Lookup | HeadLookup
    provides: tuple[str, ...] = ("macs", "params", "activations")
    seconds: float = 0.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return macs, params and activations of every candidate."""
        sums = self.lookup(candidates.picks)
        return {name: sums[:, i] for i, name in enumerate(self.provides)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the costs are exact."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return "costs"


def _costs(units: Unit) -> tuple[float, ...]:
    found = cost_of(units)
    return found.macs, found.params, found.activations


def _whole(detector: Architecture) -> tuple[float, ...]:
    found = cost(detector)
    return found.macs, found.params, found.activations


def create(
    space: Space, *, units: SpaceUnits | None = None, detectors: Detectors | None = None
) -> Costs:
    """Return the evaluator for one space, whose `units` may be at hand, or for its `detectors`."""
    if detectors:
        return Costs(HeadLookup(detectors.bodies, _costs, _whole))
    return Costs(Lookup(space, _costs, units=units))
