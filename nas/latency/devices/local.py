"""This machine."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial

from nas.core import machine
from nas.latency.measure.plan import to_mapping
from nas.latency.measure.rounds import measure
from nas.latency.measure.run import Device, Measurement
from nas.latency.measure.samples import SampleFile, header


@dataclass(frozen=True, slots=True)
class Local:
    """Measures in this process, which stays pinned to the target's cores."""

    def measure(self, asked: Measurement) -> None:
        """Measure what is `asked`, or resume that; see `Device`."""
        plan, target = asked.plan, asked.target
        backend = target.create()
        head = header(
            to_mapping(plan),
            runtime=backend.runtime,
            threads=target.threads,
            dtype=target.dtype,
            graph=target.graph,
        )
        models = [partial(backend.compile, job.units) for job in plan.jobs]
        with closing(SampleFile(asked.path, head, instead=asked.instead)) as file:
            cores = machine.pin(target.cores, threads=target.threads)
            known = {**machine.describe(cores), "backend": target.backend}
            measure(
                models,
                backend.open,
                file,
                rounds=asked.rounds,
                machine=known,
                report=asked.report,
            )


def create() -> Device:
    """Return the device."""
    return Local()
