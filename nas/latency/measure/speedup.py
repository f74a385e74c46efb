"""Measure two networks end to end, in turns, and return how much faster one is."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core.errors import NasError
from nas.core.progress import quiet
from nas.latency.backends import DTYPES
from nas.latency.measure.estimates import Estimate, Estimates
from nas.latency.measure.plan import plan_check
from nas.latency.measure.rounds import MeasuringReport, Rounds
from nas.latency.measure.run import HERE, Target, measure_plan, usual_backend
from nas.latency.measure.samples import Samples
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """What two networks take on one device, in milliseconds with 90 % intervals.

    `factor` is how many times faster the second is; its interval is the widest that theirs allow.
    """

    before: Estimate
    after: Estimate
    runtime: str
    threads: int
    dtype: str
    cpu: str

    @property
    def factor(self) -> float:
        """How many times faster the second network is."""
        return self.before.ms / self.after.ms

    @property
    def interval(self) -> tuple[float, float]:
        """The least and the largest factor that the two intervals allow."""
        return self.before.low_ms / self.after.high_ms, self.before.high_ms / self.after.low_ms

    def record(self) -> dict[str, Any]:
        """Return what a machine reads of it."""
        return {
            "speedup": self.factor,
            "speedup_low": self.interval[0],
            "speedup_high": self.interval[1],
            "start_ms": self.before.ms,
            "best_ms": self.after.ms,
            "runtime": self.runtime,
            "threads": self.threads,
            "dtype": self.dtype,
            "cpu": self.cpu,
        }


def target_like(table: LatencyTable, device: str = HERE) -> Target:
    """Return what to measure on: a device's usual backend, the threads and numbers of `table`.

    Raises:
        NasError: see `usual_backend`.
    """
    dtype = table.precision if table.precision in DTYPES else DTYPES[0]
    backend = usual_backend(device)
    return Target(backend=backend, threads=table.threads, dtype=dtype, device=device)


def measure_speedup(
    before: Architecture,
    after: Architecture,
    target: Target,
    *,
    rounds: Rounds,
    report: MeasuringReport = quiet,
) -> Speedup:
    """Measure both networks in turns on the target's device.

    On this machine, the process stays pinned to the target's cores.

    Raises:
        NasError: if the runtime is missing or refuses a network.
    """
    plan = plan_check("speedup", [replace(before, name="before"), replace(after, name="after")])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        samples, found = measure_plan(plan, target, path, rounds=rounds, report=report)
    return _speedup(samples, found, target)


def _speedup(samples: Samples, found: Estimates, target: Target) -> Speedup:
    first = samples.references
    if not {first, first + 1} <= set(found.jobs):
        reasons = "; ".join(samples.refused.values()) or "nothing was measured"
        raise NasError(f"the networks could not be measured: {reasons}")
    return Speedup(
        before=found.jobs[first],
        after=found.jobs[first + 1],
        runtime=samples.header["runtime"],
        threads=target.threads,
        dtype=target.dtype,
        cpu=samples.machine.cpu,
    )
