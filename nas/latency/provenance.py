"""Where a measured latency table comes from, and how well it was seen to predict."""

from collections.abc import Mapping
from dataclasses import dataclass

from nas.core.schema import Milliseconds, Positive, Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How, when and on what a table was measured; what could not be read is empty or 0.

    `cores` are the numbers of those that the process was kept on, of `cpu_count`; `clock_mhz`
    and `governor` are the first one's. `space` is what the units are of, `calibrated_on` are the
    fingerprints of the networks that the table may not be validated on. `reference_ms`
    is what the reference networks took: the speed of the machine that all numbers are for.
    `rounds` is the largest number of repetitions of a model, `noise` the median deviation of the
    references' (a fraction).
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Predicted against measured latency of networks that had no part in the table.

    All are fractions of the measured latency: `bias` is the mean error, `mape` the mean size of
    the error, `worst` the largest; `within_5` and `within_10` are shares of the networks;
    `kendall_tau` is tau-a.
    `noise_floor` is `mape` between two measurements of the same networks, `noise_worst` the
    largest difference between them. `speed` is what the references took then over what they took
    for the table. `points` are (predicted, measured) milliseconds by name.
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
        """One line with the figures that matter."""
        return (
            f"{len(self.points)} networks measured whole: bias {100 * self.bias:+.1f} %, "
            f"mean error {100 * self.mape:.1f} % (the same networks twice: "
            f"{100 * self.noise_floor:.1f} %), {100 * self.within_5:.0f} % within 5 %, "
            f"worst {100 * self.worst:.1f} %"
        )
