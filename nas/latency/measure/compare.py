"""Compare what a table predicts for networks with what they take on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.core.errors import NasError
from nas.core.optional import optional
from nas.latency.measure.estimates import Estimate, estimate
from nas.latency.measure.plan import Plan
from nas.latency.measure.run import Target
from nas.latency.measure.samples import Samples
from nas.latency.measure.validation import speed_of
from nas.latency.table import Latency, LatencyTable
from nas.network.blocks import Architecture

_SLOWER = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCheck:
    """One network as predicted and as measured, with 90 % intervals.

    `predicted` is None where the table lacks units of it. `notes` say what limits the comparison.
    """

    name: str
    predicted: Latency | None
    measured_ms: float
    measured_low_ms: float
    measured_high_ms: float
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return what a machine reads of it."""
        found = self.predicted
        return {
            "name": self.name,
            "latency_ms": found.ms if found else None,
            "latency_low_ms": found.low_ms if found else None,
            "latency_high_ms": found.high_ms if found else None,
            "measured_ms": self.measured_ms,
            "measured_low_ms": self.measured_low_ms,
            "measured_high_ms": self.measured_high_ms,
            "error": self.error,
            "notes": list(self.notes),
        }

    @property
    def error(self) -> float | None:
        """How far the prediction is off, as a fraction of what was measured."""
        return self.predicted.ms / self.measured_ms - 1 if self.predicted else None


def compare(
    table: LatencyTable,
    plan: Plan,
    archs: Sequence[Architecture],
    samples: Samples,
    target: Target,
) -> tuple[LatencyCheck, ...]:
    """Compare predictions for `archs` with their samples, the jobs after the references.

    Raises:
        NasError: if none of them was measured.
    """
    found = estimate(samples.repetitions, references=samples.references)
    if not found.jobs:
        raise NasError(f"nothing could be measured: {'; '.join(samples.refused.values())}")
    said, slower = list[str](), 1.0
    with optional("the speed of the machine when the table was measured", said.append):
        slower = speed_of(table, plan, found.reference_ms)
    notes = (*said, *_notes(table, samples, target, slower))
    return tuple(
        _checked(arch, table, found.jobs[number], slower, notes)
        for number, arch in enumerate(archs, start=samples.references)
        if number in found.jobs
    )


def _checked(
    arch: Architecture, table: LatencyTable, found: Estimate, slower: float, notes: tuple[str, ...]
) -> LatencyCheck:
    said, predicted = list[str](), None
    with optional(f"a prediction for {arch.name}", said.append):
        predicted = table.predict(arch)
    return LatencyCheck(
        name=arch.name,
        predicted=predicted,
        measured_ms=found.ms / slower,
        measured_low_ms=found.low_ms / slower,
        measured_high_ms=found.high_ms / slower,
        notes=(*said, *notes),
    )


def _notes(table: LatencyTable, samples: Samples, target: Target, slower: float) -> tuple[str, ...]:
    here = samples.machine.cpu
    notes = []
    if table.provenance is None or table.provenance.cpu != here:
        notes.append(f"the table is of another device: {table.device}; this is {here}")
    if table.runtime != samples.header["runtime"]:
        notes.append(f"the table is for {table.runtime}; this is {samples.header['runtime']}")
    elif table.provenance and table.provenance.graph != samples.header.get("graph", ""):
        notes.append(f"the table is for {table.precision} graphs of another version than these")
    if (table.threads, table.precision) != (target.threads, target.dtype):
        notes.append(
            f"the table is for {table.threads} thread(s) and {table.precision}; this is "
            f"{target.threads} and {target.dtype}"
        )
    if table.provenance and not 1 / _SLOWER <= slower <= _SLOWER:
        word = "slower" if slower > 1 else "faster"
        notes.append(
            f"the machine is {100 * abs(slower - 1):.0f} % {word} now than when the table was "
            "measured; times are given for its speed then"
        )
    return tuple(notes)
