"""Measure all networks of a pipeline end to end on one device, in turns."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.core.errors import NasError
from nas.latency.measure.estimates import Estimates
from nas.latency.measure.plan import plan_check
from nas.latency.measure.rounds import MeasuringProgress, Rounds
from nas.latency.measure.run import HERE, Target, measure_plan
from nas.latency.measure.samples import Samples
from nas.latency.measure.speedup import target_like
from nas.network.blocks import Architecture
from nas.pipeline.journal import StageResult
from nas.pipeline.stages import PipelineState
from nas.searching.runs.folder import find_architecture
from nas.space.space import INT8


def measure_networks(state: PipelineState) -> StageResult:
    """Measure every network except the found one, since the trained one is the same.

    With a table in int8, all are measured in int8; with another one, those that were quantized are
    measured once more in int8. If the runtime is missing or cannot run a network, nothing is
    measured, and a note says why.
    """
    networks = [one for one in state.networks if one.part not in ("found", "quantized")]
    archs = {
        one.name: replace(find_architecture(str(state.out / one.path)), name=one.name)
        for one in networks
    }
    whole = [one.name for one in state.networks if one.part == "quantized"]
    again = [replace(archs[name.removesuffix("-int8")], name=name) for name in whole]
    try:
        return StageResult(measured=_measured(state, [*archs.values()], again))
    except NasError as error:
        device = state.inputs.config.measure_device
        place = "this machine" if device == HERE else device
        return StageResult(notes=(f"not measured on {place}: {error}",))


def _measured(
    state: PipelineState, archs: Sequence[Architecture], whole: Sequence[Architecture]
) -> dict[str, Any]:
    """Return the latencies of `archs`, and those of `whole` in int8 unless all are in int8."""
    config = state.inputs.config
    target = target_like(state.inputs.table, config.measure_device)
    found = _round_robin(state, target, archs)
    if whole and target.dtype != INT8:
        more = _round_robin(state, replace(target, dtype=INT8), whole)
        found["networks"] |= more["networks"]
    return found


def _round_robin(
    state: PipelineState, target: Target, archs: Sequence[Architecture]
) -> dict[str, Any]:
    """Return the latencies of `archs` on one target, measured in turns."""
    plan = plan_check("pipeline", archs)
    with (
        TemporaryDirectory() as folder,
        state.reporter.progress(f"measuring in {target.dtype}", "repetitions") as update,
    ):

        def report(now: MeasuringProgress) -> None:
            update(now.done, now.total, f"round {now.round}")

        path = Path(folder) / "samples.jsonl"
        rounds = Rounds.of(state.inputs.config.measure_rounds)
        samples, found = measure_plan(plan, target, path, rounds=rounds, report=report)
    return {
        "runtime": samples.header["runtime"],
        "threads": target.threads,
        "dtype": target.dtype,
        "cpu": samples.machine.cpu,
        "networks": _times(archs, samples, found),
    }


def _times(archs: Sequence[Architecture], samples: Samples, found: Estimates) -> dict[str, Any]:
    """Return the measured latency of each network, by name."""
    times = {}
    for number, arch in enumerate(archs, start=samples.references):
        if number not in found.jobs:
            raise NasError("; ".join(samples.refused.values()) or "nothing was measured")
        times[arch.name] = asdict(found.jobs[number])
    return times
