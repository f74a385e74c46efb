"""Measure a plan on a device into a file of samples."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nas.core import plugins
from nas.core.errors import NasError
from nas.core.files import read_bytes
from nas.core.plugins import Plugin
from nas.core.progress import quiet
from nas.latency.backends import Backend, CheckedBackend, graph_of
from nas.latency.measure.estimates import Estimates, estimate
from nas.latency.measure.plan import MeasuringJob, Plan
from nas.latency.measure.rounds import MeasuringReport, Rounds
from nas.latency.measure.samples import CORRECTION, REFERENCE, VALIDATION, Samples, read_samples

HERE = "local"
"""The device that is this machine."""
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is measured on: a backend by its text ("onnxruntime"), its options, the cores, a device.

    `cores` of None are as many of the fastest as there are threads. `device` is the text of a
    plugin: this machine, or "ssh:pi@board".
    """

    backend: str = "onnxruntime"
    threads: int = 1
    dtype: str = "fp32"
    cores: tuple[int, ...] | None = None
    device: str = HERE

    @property
    def graph(self) -> str:
        """The version of its graphs."""
        return graph_of(self.backend, self.dtype)

    def create(self) -> Backend:
        """Return the backend.

        Raises:
            NasError: if it is unknown, refuses the options, or its package is missing.
        """
        plugin = Plugin.parse(self.backend)
        made = plugins.create("backends", plugin, threads=self.threads, dtype=self.dtype)
        return CheckedBackend(name=plugin.name, backend=made)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAndCores:
    """The device and the cores of a measurement whose backend is given; see `Target`."""

    device: str = HERE
    cores: tuple[int, ...] | None = None

    def of(self, target: Target) -> Target:
        """Return `target` there."""
        return replace(target, device=self.device, cores=self.cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a device is asked to do: measure `plan` into the file of samples at `path`.

    `instead`: see `SampleFile`.
    """

    plan: Plan
    target: Target
    path: Path
    rounds: Rounds
    report: MeasuringReport = quiet
    instead: str = "give another --out"


class Device(Protocol):
    """Where models are run; what `create(*, ...)` of a plugin in `nas/latency/devices/` returns.

    `measure` is called once or more. It writes the lines of `nas.latency.measure.samples` as they
    come, so that whatever ends it loses nothing, and resumes from what the file holds. What the
    runtime refuses is noted in the samples by the number of the job in the plan.
    """

    def measure(self, asked: Measurement) -> None:
        """Measure what is `asked`, or resume that, until its rounds are over.

        Raises:
            NasError: if the device cannot be reached, or lacks something; it says what to do.
            RunError: if the file is of another measurement, or cannot be written.
        """


def usual_backend(device: str = HERE) -> str:
    """Return the backend that is measured on a device, by its text, where none is named.

    A plugin of a device names its own by a function `backend`.

    Raises:
        NasError: if there is no such device, or it does not take the options.
    """
    return plugins.beside("devices", Plugin.parse(device), "backend") or Target().backend


def measure_plan(
    plan: Plan,
    target: Target,
    path: Path,
    *,
    rounds: Rounds,
    report: MeasuringReport = quiet,
    instead: str = "give another --out",
) -> tuple[Samples, Estimates]:
    """Measure `plan` into the file at `path`, or resume that; return samples and estimates.

    On this machine, the process stays pinned to the target's cores. `instead`: see `SampleFile`.

    Raises:
        NasError: if the backend refuses its options, or a reference network, or the device cannot
            be reached.
        RunError: if the file is of another measurement, or cannot be written.
    """
    device: Device = plugins.create("devices", Plugin.parse(target.device))
    asked = Measurement(
        plan=plan, target=target, path=path, rounds=rounds, report=report, instead=instead
    )
    with _nothing_left(path):
        device.measure(asked)
    samples = read_samples(path)
    return samples, estimate(samples.repetitions, references=samples.references)


@contextmanager
def _nothing_left(path: Path) -> Iterator[None]:
    """Remove a new file of samples, and new folders, where an error leaves them without samples."""
    absent = [place for place in (path, *path.parents) if not place.exists()]
    try:
        yield
    except NasError:
        if path in absent and path.exists() and b'"visit"' not in read_bytes(path):
            path.unlink()
            with suppress(OSError):  # something else lies there by now
                for folder in absent[1:]:
                    folder.rmdir()
        raise


def duration(plan: Plan, target: Target, rounds: Rounds) -> float:
    """Return about how many seconds it takes at most to measure `plan` on this machine.

    The references are opened and run a few times; the others are taken to open as fast per layer,
    and to be as fast per multiply-add.

    Raises:
        NasError: see `Target.create`.
    """
    backend, references = target.create(), plan.of(REFERENCE)
    opening, seconds = 0.0, 0.0
    for job in references:
        model = backend.compile(job.units)
        start = time.monotonic()
        run = backend.open(model)
        opening += time.monotonic() - start
        seconds += min(run() for _ in range(_TRIES))
    per_layer = opening / sum(map(_layers, references))
    per_mac = seconds / sum(job.macs for job in references)

    def repetition(job: MeasuringJob) -> float:
        alone = per_mac * job.macs
        network = job.role in (CORRECTION, VALIDATION)
        visits = rounds.visits_of(1e3 * alone) if network else 1
        taken = max((rounds.runs + 1) * alone, rounds.repetition_seconds)
        return visits * (per_layer * _layers(job) + taken)

    of_reference = (opening + (rounds.runs + 1) * seconds) / len(references)
    share = 1 + of_reference / rounds.reference_seconds
    return rounds.most * share * sum(map(repetition, plan.jobs))


def _layers(job: MeasuringJob) -> int:
    return sum(len(unit.layers) for unit in job.units)
