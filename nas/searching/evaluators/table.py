"""Latency in milliseconds, summed from a latency table."""

from dataclasses import dataclass
from functools import partial

from nas.core.errors import NasError
from nas.latency.eras import earlier_text
from nas.latency.table import LatencyTable, fingerprint
from nas.network.layers import Unit
from nas.searching.problem import Candidates, Metrics
from nas.space.lookup import Lookup
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
    lookup = Lookup(space, partial(_values, table))
    sides = [table.model.resolution_reasons(r) if table.model else () for r in space.resolutions]
    if (lookup.least()[1] or all(sides)) and not allow_extrapolation:
        beyond = [reason for unit in lookup.met() for reason in table.beyond(unit)]
        reasons = [reason for side in sides for reason in side] if all(sides) else beyond
        raise NasError(
            f"latency table {table.name} does not cover space {space.name}: "
            f"{'; '.join(dict.fromkeys(reasons))}; "
            "search with `allow_extrapolation` all the same, or take another table"
        )
    keys = [unit.key for unit in lookup.met()]
    earlier = frozenset({earlier_text(table, keys)})
    return Table(lookup, table, fingerprint(table.inputs(keys)), earlier)


def _values(table: LatencyTable, unit: Unit) -> tuple[float, ...]:
    """Return the milliseconds of a unit, and 1 where it lies beyond the table's range."""
    return table.unit_ms(unit), float(bool(table.beyond(unit)))
