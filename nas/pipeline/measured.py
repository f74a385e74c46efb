"""Measure all networks of a pipeline end to end on one device, in turns."""

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core.errors import NasError
from nas.latency.measure.estimates import Estimates
from nas.latency.measure.plan import plan_check
from nas.latency.measure.rounds import MeasuringProgress, Rounds
from nas.latency.measure.run import HERE, measure_plan
from nas.latency.measure.samples import Samples
from nas.latency.measure.speedup import target_like
from nas.network.blocks import Architecture
from nas.pipeline.journal import StageResult
from nas.pipeline.stages import PipelineState
from nas.searching.runs.folder import find_architecture


def measure_networks(state: PipelineState) -> StageResult:
    """Measure every network except the found one (the trained one is the same) and int8 ones.

    With a table in int8, all are measured in int8. If the runtime is missing or cannot run a
    network, nothing is measured, and a note says why.
    """
    again = ("found", "quantized")
    networks = [network for network in state.networks if network.part not in again]
    archs = [
        replace(find_architecture(str(state.out / network.path)), name=network.name)
        for network in networks
    ]
    try:
        return StageResult(measured=_measured(state, archs))
    except NasError as error:
        device = state.inputs.config.measure_device
        place = "this machine" if device == HERE else device
        return StageResult(notes=(f"not measured on {place}: {error}",))


def _measured(state: PipelineState, archs: list[Architecture]) -> dict[str, Any]:
    config = state.inputs.config
    target, rounds = target_like(state.inputs.table, config.measure_device), config.measure_rounds
    plan = plan_check("pipeline", archs)
    with (
        TemporaryDirectory() as folder,
        state.reporter.progress("measuring", "repetitions") as update,
    ):

        def report(now: MeasuringProgress) -> None:
            update(now.done, now.total, f"round {now.round}")

        path = Path(folder) / "samples.jsonl"
        samples, found = measure_plan(plan, target, path, rounds=Rounds.of(rounds), report=report)
    return {
        "runtime": samples.header["runtime"],
        "threads": target.threads,
        "dtype": target.dtype,
        "cpu": samples.machine.cpu,
        "networks": _times(archs, samples, found),
    }


def _times(archs: list[Architecture], samples: Samples, found: Estimates) -> dict[str, Any]:
    """Return the measured latency of each network, by name."""
    times = {}
    for number, arch in enumerate(archs, start=samples.references):
        if number not in found.jobs:
            raise NasError("; ".join(samples.refused.values()) or "nothing was measured")
        times[arch.name] = asdict(found.jobs[number])
    return times
