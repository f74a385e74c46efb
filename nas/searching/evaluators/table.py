"""Latency in milliseconds, summed from a latency table."""

from dataclasses import dataclass
from functools import partial
from math import fsum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.latency.eras import earlier_texts
from nas.latency.table import DECIMALS, LatencyTable, UnitTable, fingerprint
from nas.network.blocks import Architecture
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.searching.metrics import UPPER
from nas.searching.problem import Candidates, Floats, Metrics
from nas.space.heads import Detectors
from nas.space.lookup import Lookup, SpaceUnits, units_of
from nas.space.space import Space
from nas.space.with_heads import HeadLookup


@dataclass(frozen=True, slots=True)
class LatencyEvaluator:
    """Looks the latency of a space's architectures up in one table."""

    lookup: Lookup | HeadLookup
    table: LatencyTable
    fingerprint: str
    earlier: frozenset[str]
    confidence: float = 0.0
    seconds: float = 0.0
    note: str = ""

    @property
    def provides(self) -> tuple[str, ...]:
        """The latency, and where a confidence is asked for the upper end of its interval."""
        return ("latency_ms", UPPER) if self.confidence else ("latency_ms",)

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return latency_ms of every candidate, for the table's batch size and threads.

        `latency_upper_ms` is the upper end of the interval that holds `confidence` of networks, if
        errors are normal.
        """
        sums = self.lookup(candidates.picks)
        weights = sums[:, -1] if self.table.reload else 0
        ms = self.table.total_ms(sums[:, 0], weights)
        if not self.confidence:
            return {"latency_ms": ms}
        sides = _resolutions(candidates)
        _, high = self.table.interval(ms, extra_uncertainty_ms=sums[:, 1], resolution=sides)
        width = _quantile(self.confidence) / _quantile(self.table.spread.coverage)
        return {"latency_ms": ms, UPPER: np.round(ms + width * (high - ms), DECIMALS)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the table itself gives intervals."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        wide = f" confidence={self.confidence:g}" if self.confidence else ""
        return f"table:{self.table.name} {self.fingerprint}{wide}"


def _resolutions(candidates: Candidates) -> NDArray[np.intp]:
    """Return the resolution of every candidate."""
    values = np.array(candidates.space.resolutions)
    names = [column.name for column in candidates.space.columns]
    if "resolution" not in names:
        return np.full(len(candidates), values[0])
    chosen: NDArray[np.intp] = values[candidates.picks[:, names.index("resolution")]]
    return chosen


def _quantile(share: float) -> float:
    """Return how many deviations hold a share of a normal distribution around its mean."""
    return NormalDist().inv_cdf((1 + share) / 2)


def create(
    space: Space,
    *,
    table: LatencyTable,
    allow_extrapolation: bool = False,
    confidence: float = 0.0,
    units: SpaceUnits | None = None,
    detectors: Detectors | None = None,
) -> LatencyEvaluator:
    """Return the evaluator for one space, whose `units` may be at hand, and one loaded table.

    It answers for the `detectors` of the space, if there are any. Their maps are larger than those
    of the classifiers that published tables were measured on, which is said of every network.

    With a `confidence`, it also gives the upper end of the interval of such coverage.

    Raises:
        NasError: if every architecture of the space lies outside of the table's range, and
            `allow_extrapolation` is false and there are no detectors.
        MissingEntry: if the table has neither an entry nor a model for some unit.
    """
    many, used = UnitTable(table), np.zeros(len(table.entries) + 1, bool)

    def values(units: Unit) -> tuple[Floats, ...]:
        """Return milliseconds, extra uncertainties, weights, and 1 for units beyond the range."""
        places = many.locate(units)
        used[places] = True
        beyond = np.zeros(len(places), bool)
        for is_so, _ in many.beyond(units, places):
            beyond |= is_so
        uncertainties = (many.extra_uncertainty_ms(units, places, beyond),) if confidence else ()
        weights = (np.asarray(table.weights_of(units), float),) if table.reload else ()
        return many.ms(units, places), *uncertainties, *weights, beyond.astype(float)

    lookup = Lookup(space, values, units=detectors.bodies.units if detectors else units)
    sides = [table.model.resolution_reasons(r) if table.model else () for r in space.resolutions]
    if (lookup.least()[-1] or all(sides)) and not (allow_extrapolation or detectors):
        sides_beyond = [reason for side in sides for reason in side] if all(sides) else []
        reasons = sides_beyond or _beyond(many, space)
        raise NasError(
            f"latency table {table.name} does not cover space {space.name}: "
            f"{'; '.join(dict.fromkeys(reasons))}; "
            "search anyway with `allow_extrapolation`, or take another table"
        )
    found: Lookup | HeadLookup = lookup.first(1 + (confidence > 0) + (table.reload is not None))
    keys = [key for key, occurs in zip(table.entries, used, strict=False) if occurs]
    if detectors:
        found = HeadLookup(detectors.bodies, values, partial(_whole, table, bool(confidence)))
        found(np.zeros((1, len(space.columns)), np.uint8))  # refuse a table without their units
        keys = list(table.entries)
    return LatencyEvaluator(
        found,
        table,
        fingerprint(table.inputs(keys)),
        earlier_texts(table, keys),
        confidence,
    )


def _whole(table: LatencyTable, uncertainties: bool, detector: Architecture) -> tuple[float, ...]:
    """Return what `values` of `create` returns, but the last, added up over a detector."""
    units = lower(detector)
    if absent := tuple(unit for unit in units if not table.covers(unit)):
        raise table.missing(absent)
    uncertainty = (fsum(map(table.extra_uncertainty_ms, units)),) if uncertainties else ()
    weights = (float(sum(map(table.weights_of, units))),) if table.reload else ()
    return fsum(map(table.unit_ms, units)), *uncertainty, *weights


def _beyond(table: UnitTable, space: Space) -> list[str]:
    """Name what lies beyond the range of a table, in the order of the units of a space."""
    first: dict[str, int] = {}
    for at, units in units_of(space):
        for is_so, name in table.beyond(units, table.locate(units)):
            if is_so.any():
                first[name] = min(int(at[is_so].min()), first.get(name, at.max()))
    return sorted(first, key=lambda name: first[name])
