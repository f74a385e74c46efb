"""How well one latency stands for another: two tables, or a table and MACs, on random networks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.core.errors import NasError, unknown
from nas.latency.measure.estimates import Floats
from nas.latency.measure.validation import tau_a
from nas.latency.table import LatencyTable
from nas.network.cost import cost
from nas.space.space import Matrix, Space

COUNTS = ("macs", "params")
"""What a table may be compared with, beside another table."""
NETWORKS = 500
_LEAST = 10
_TENTH = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the latencies `second` of random networks follow from `first`, by their names.

    `tau` is Kendall's tau-a, `spearman` the correlation of ranks. `scatter` is the mean error, and
    `worst` the largest, of the best straight line between the logarithms of both, as fractions of
    `second`. `kept` is the share of the fastest tenth by `second` that is among the fastest tenth
    by `first`.
    """

    first: str
    second: str
    space: str
    networks: int
    tau: float
    spearman: float
    scatter: float
    worst: float
    kept: float

    def record(self) -> dict[str, Any]:
        """Return what a machine reads of it."""
        return asdict(self)

    @property
    def summary(self) -> str:
        """One line with the figures."""
        return (
            f"{self.networks} random networks of {self.space}: Kendall's tau {self.tau:.3f}, rank "
            f"correlation {self.spearman:.3f}; {self.second} from {self.first}: mean error "
            f"{100 * self.scatter:.1f} %, worst {100 * self.worst:.1f} %; of the fastest tenth "
            f"{100 * self.kept:.0f} % are the same"
        )


def sample(space: Space, networks: int = NETWORKS, *, seed: int = 0) -> Matrix:
    """Return random networks of a space, as rows.

    Raises:
        NasError: if they would be too few to compare anything.
    """
    if networks < _LEAST:
        raise NasError(f"`networks={networks}`: expected {_LEAST} or more")
    return space.sample_matrix(np.random.default_rng([seed, 2]), networks)


def latencies(table: LatencyTable, space: Space, rows: Matrix) -> Floats:
    """Return what a table predicts for networks of a space, in milliseconds.

    Raises:
        MissingEntry: if it lacks units and has no operator model.
    """
    return table.over(space)(rows)


def counted(name: str, space: Space, rows: Matrix) -> Floats:
    """Return a count of networks of a space: "macs" or "params", in millions.

    Raises:
        NasError: if it is neither.
    """
    if name not in COUNTS:
        raise unknown("count", name, COUNTS)
    costs = [cost(arch) for arch in space.decode_rows(rows)]
    return np.array([getattr(one, name) for one in costs]) / 1e6


def agreement(first: Floats, second: Floats, *, names: Sequence[str], space: str) -> Agreement:
    """Return how `second` follows from `first`, of the same networks."""
    x, y = np.log(first), np.log(second)
    slope, offset = np.polyfit(x, y, 1) if np.ptp(x) > 0 else (0.0, float(y.mean()))
    errors = np.abs(np.exp(slope * x + offset) / second - 1)
    count = max(1, round(_TENTH * len(first)))
    fastest = [set(np.argsort(one, kind="stable")[:count].tolist()) for one in (first, second)]
    return Agreement(
        first=names[0],
        second=names[1],
        space=space,
        networks=len(first),
        tau=round(tau_a(first, second), 4),
        spearman=round(_ranks_correlation(first, second), 4),
        scatter=round(float(errors.mean()), 4),
        worst=round(float(errors.max()), 4),
        kept=round(len(fastest[0] & fastest[1]) / count, 4),
    )


def _ranks_correlation(first: Floats, second: Floats) -> float:
    """Return the correlation of ranks; equal values have the mean of theirs."""
    one, other = (ranks - ranks.mean() for ranks in map(_ranks, (first, second)))
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size else 0.0


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], float)
