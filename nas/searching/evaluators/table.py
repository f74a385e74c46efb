"""Latency in milliseconds, summed from a latency table."""

from dataclasses import dataclass

import numpy as np

from nas.core.errors import NasError
from nas.latency.eras import earlier_texts
from nas.latency.table import LatencyTable, UnitTable, fingerprint
from nas.network.layers import Unit
from nas.searching.problem import Candidates, Floats, Metrics
from nas.space.lookup import Lookup, units_of
from nas.space.space import Space


@dataclass(frozen=True, slots=True)
class Table:
    """Looks the latency of a space's architectures up in one table."""

    lookup: Lookup
    table: LatencyTable
    fingerprint: str
    earlier: frozenset[str]
    provides: tuple[str, ...] = ("latency_ms",)
    seconds: float = 0.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return latency_ms of every candidate, for the table's batch size and threads."""
        return {"latency_ms": self.table.total_ms(self.lookup(candidates.picks)[:, 0])}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the table itself gives intervals."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"table:{self.table.name} {self.fingerprint}"


def create(space: Space, *, table: LatencyTable, allow_extrapolation: bool = False) -> Table:
    """Return the evaluator for one space and one loaded table.

    Raises:
        NasError: if every architecture of the space lies outside of the table's range, and
            `allow_extrapolation` is false.
        MissingEntry: if the table has neither an entry nor a model for some unit.
    """
    many, used = UnitTable(table), np.zeros(len(table.entries) + 1, bool)

    def values(units: Unit) -> tuple[Floats, Floats]:
        """Return the milliseconds of units, and 1 where they lie beyond the table's range."""
        places = many.places(units)
        used[places] = True
        beyond = np.zeros(len(places), bool)
        for is_so, _ in many.beyond(units, places):
            beyond |= is_so
        return many.ms(units, places), beyond.astype(float)

    lookup = Lookup(space, values)
    sides = [table.model.resolution_reasons(r) if table.model else () for r in space.resolutions]
    if (lookup.least()[1] or all(sides)) and not allow_extrapolation:
        sides_beyond = [reason for side in sides for reason in side] if all(sides) else []
        reasons = sides_beyond or _beyond(many, space)
        raise NasError(
            f"latency table {table.name} does not cover space {space.name}: "
            f"{'; '.join(dict.fromkeys(reasons))}; "
            "search with `allow_extrapolation` all the same, or take another table"
        )
    keys = [key for key, occurs in zip(table.entries, used, strict=False) if occurs]
    return Table(lookup, table, fingerprint(table.inputs(keys)), earlier_texts(table, keys))


def _beyond(table: UnitTable, space: Space) -> list[str]:
    """Name what lies beyond the range of a table, in the order of the units of a space."""
    first: dict[str, int] = {}
    for at, units in units_of(space):
        for is_so, name in table.beyond(units, table.places(units)):
            if is_so.any():
                first[name] = min(int(at[is_so].min()), first.get(name, at.max()))
    return sorted(first, key=lambda name: first[name])
