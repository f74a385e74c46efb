"""The origin of a measured latency table, its error, and the result of its validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.core.schema import Milliseconds, Positive, Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How, when and on what a table was measured; values that could not be read are empty or 0.

    `cores` are the numbers of the cores that the process was pinned to, out of `cpu_count`;
    `clock_mhz` and `governor` are those of the first one. `calibrated_on` are the fingerprints of
    the networks that the correction was fitted on, which cannot validate the table. `reference_ms`
    are the latencies of the reference networks, which define the machine speed that all numbers
    refer to. `rounds` is the largest number of repetitions of a model, `noise` the median deviation
    of the references. `facts` are further facts about the device, as for phones. `graph` is the
    version of the graphs that were timed (`nas.latency.backends.graph_of`).
    """

    backend: str
    space: str
    cpu: str
    cpu_count: int
    cores: tuple[int, ...]
    governor: str
    clock_mhz: int
    system: str
    python: str
    batch: int
    method: str
    date: str
    code_version: str
    reference_ms: Mapping[str, Milliseconds]
    rounds: int
    noise: float
    calibrated_on: tuple[str, ...]
    choices: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    graph: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Predicted against measured latency of networks that the table was not fitted on.

    Errors are fractions of the measured latency: `bias` is the mean error, `mape` the mean absolute
    error, `worst` the largest; `within_5` and `within_10` are fractions of the networks;
    `kendall_tau` is tau-a. `noise_floor` is the `mape` between two measurements of the same
    networks, `noise_worst` the largest difference. `speed` is the latency of the references during
    validation divided by that in the table. `points` are (predicted, measured) milliseconds by
    name.
    """

    bias: Signed
    mape: float
    worst: float
    within_5: float
    within_10: float
    kendall_tau: Signed
    noise_floor: float
    noise_worst: float
    speed: float
    date: str
    points: Mapping[str, tuple[Positive, Positive]]

    @property
    def summary(self) -> str:
        """One line with the most important numbers."""
        return (
            f"{len(self.points)} networks measured end to end: bias {100 * self.bias:+.1f} %, "
            f"mean error {100 * self.mape:.1f} % (the same networks twice: "
            f"{100 * self.noise_floor:.1f} %), {100 * self.within_5:.0f} % within 5 %, "
            f"worst {100 * self.worst:.1f} %"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableError:
    """The relative error on hold-out networks.

    `mean` and `worst` are over all `networks`, `mean_large` over those of at least
    `Spread.small_below` pixels; `scheme` says how the networks were held out.
    """

    scheme: str
    networks: int
    mean: float
    mean_large: float
    worst: float
    note: str = ""
