"""Which method predicts networks best from their units: the sum, a factor, or a correction?

python -m experiments.latency_validation.methods --space mnasnet_b0

Measures the units of random networks of a space (alone, and between two plain convolutions) and the
networks themselves in the same rounds. Half of the networks fit the corrections, the other half
test them.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from experiments.shared.results import circumstances
from nas.accuracy.predictor import Floats
from nas.core import data
from nas.core.files import write_text
from nas.latency.measure.correction_fit import MeasuredNetwork, fit_correction
from nas.latency.measure.estimates import Estimates, at_usual_speed, lower_quartile
from nas.latency.measure.plan import MeasuringJob, Plan, network_job, plan_units
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, measure_plan
from nas.latency.measure.samples import CORRECTION, PROBE, VALIDATION
from nas.network.blocks import Block
from nas.network.layers import Conv, Shape, Squeeze, Unit
from nas.network.lowering import lower_block
from nas.space.file import load_space
from nas.space.sampling import biased_rows

HERE = Path(__file__).resolve().parent
HALF = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A network's units, their latencies alone and between convolutions, and its own, in ms."""

    units: tuple[Unit, ...]
    alone: Floats
    carried: Floats
    ms: float


def plain(shape: Shape, name: str) -> Unit:
    """Return a 1x1 convolution that keeps `shape`."""
    block = Block(kind="conv", in_channels=shape[0], out_channels=shape[0], act="relu")
    return lower_block(block, shape, name=name)


def carrier(unit: Unit) -> tuple[Unit, ...]:
    """Return `unit` between two plain convolutions."""
    return (
        plain(unit.in_shape, "before"),
        replace(unit, name="unit"),
        plain(unit.out_shape, "after"),
    )


def plan(space_name: str) -> Plan:
    """Return the plan: units, carriers, empty carriers of every shape, networks."""
    space = load_space(space_name)
    rng = np.random.default_rng([2, 0])
    rows = [*space.sample_matrix(rng, HALF), *biased_rows(space, rng, HALF)]
    archs = [space.decode_row(rows[i]) for i in rng.permutation(len(rows))]
    networks = [
        network_job(arch, f"network {i}", CORRECTION if i < HALF else VALIDATION)
        for i, arch in enumerate(archs)
    ]
    units = {unit.key: unit for job in networks for unit in job.units}
    carried = [unit for unit in units.values() if unit.block.kind == "mbconv"]
    shapes = {shape for unit in carried for shape in (unit.in_shape, unit.out_shape)}
    jobs = plan_units(space.name, tuple(units.values())).jobs
    jobs += tuple(
        MeasuringJob(name=f"carried {u.key}", role=PROBE, units=carrier(u)) for u in carried
    )
    jobs += tuple(
        MeasuringJob(
            name=f"empty {shape}", role=PROBE, units=(plain(shape, "before"), plain(shape, "after"))
        )
        for shape in sorted(shapes)
    )
    return Plan(name=space.name, jobs=(*jobs, *networks))


def measured(plan: Plan, found: Estimates) -> tuple[list[Measured], list[Measured]]:
    """Return the networks for fitting, and those for testing."""
    ms = {job.name: found.jobs[i].ms for i, job in enumerate(plan.jobs) if i in found.jobs}

    def carried(unit: Unit) -> float:
        if f"carried {unit.key}" not in ms:
            return ms[unit.key]
        ends = ms[f"empty {unit.in_shape}"] + ms[f"empty {unit.out_shape}"]
        return ms[f"carried {unit.key}"] - ends / 2

    groups: tuple[list[Measured], list[Measured]] = ([], [])
    for job in plan.of(CORRECTION, VALIDATION):
        row = Measured(
            units=job.units,
            alone=np.array([ms[unit.key] for unit in job.units]),
            carried=np.array([carried(unit) for unit in job.units]),
            ms=ms[job.name],
        )
        groups[job.role == VALIDATION].append(row)
    return groups


# every method takes the networks for fitting and returns a function from a network to milliseconds

Predict = Callable[[Measured], float]


def naive(known: Sequence[Measured]) -> Predict:
    """The sum of the units, each measured alone."""
    return lambda row: float(row.alone.sum())


def factor(known: Sequence[Measured]) -> Predict:
    """The sum times one factor."""
    value = float(np.mean([row.ms / row.alone.sum() for row in known]))
    return lambda row: value * float(row.alone.sum())


def between(known: Sequence[Measured]) -> Predict:
    """The sum of the units, each measured between two convolutions less these, times a factor."""
    value = float(np.mean([row.ms / row.carried.sum() for row in known]))
    return lambda row: value * float(row.carried.sum())


def terms(known: Sequence[Measured]) -> Predict:
    """The sum plus terms in elements and number of units (ridge regression)."""
    rows = np.array([_terms(row) / row.ms for row in known])
    scale = np.sqrt((rows**2).mean(axis=0))
    prior = scale * (np.arange(rows.shape[1]) == 0)
    scaled = rows / scale
    inverse = np.linalg.inv(scaled.T @ scaled + 1e-3 * len(rows) * np.eye(rows.shape[1]))
    solution = (prior + inverse @ scaled.T @ (1 - scaled @ prior)) / scale
    return lambda row: float(_terms(row) @ solution)


def _terms(row: Measured) -> Floats:
    inside = [[prod(x.out_shape) for x in u.layers if isinstance(x, Conv)] for u in row.units]
    return np.array(
        [
            row.alone.sum(),
            len(row.units),
            sum(prod(unit.in_shape) for unit in row.units) / 1e6,
            sum(max(elements, default=0) for elements in inside) / 1e6,
            sum(prod(unit.out_shape) for unit in row.units) / 1e6,
            sum(prod(x.shape) for u in row.units for x in u.layers if isinstance(x, Squeeze)) / 1e6,
        ]
    )


def shares(known: Sequence[Measured]) -> Predict:
    """Each unit times a factor of its own kind and size (ridge regression): what tables do."""
    fitted = fit_correction(
        [MeasuredNetwork(units=r.units, isolated_ms=r.alone.tolist(), ms=r.ms) for r in known]
    )
    return lambda row: sum(
        fitted.correction.corrected_ms(unit, ms)
        for unit, ms in zip(row.units, row.alone, strict=True)
    )


METHODS: Mapping[str, Callable[[Sequence[Measured]], Predict]] = {
    "sum of isolated units": naive,
    "the same, one factor": factor,
    "sum inside a carrier, one factor": between,
    "sum plus terms in elements": terms,
    "a factor for each unit": shares,
}


def scores(errors: Floats) -> dict[str, float]:
    """Return the figures of relative errors."""
    size = np.abs(errors)
    return {
        "bias": round(float(errors.mean()), 4),
        "mape": round(float(size.mean()), 4),
        "within_5": round(float((size <= 0.05).mean()), 3),
        "worst": round(float(size.max()), 4),
    }


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="mnasnet_b0")
    parser.add_argument("--core", type=int)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--samples", type=Path, default=Path("runs/latency_validation"))
    given = parser.parse_args()
    start = time.monotonic()
    wanted = plan(given.space)
    path = given.samples / f"methods_{given.space}.jsonl"
    cores = None if given.core is None else (given.core,)
    samples, found = measure_plan(wanted, Target(cores=cores), path, rounds=Rounds.of(given.rounds))
    known, judging = measured(wanted, found)
    truth = np.array([row.ms for row in judging])
    result = {}
    for name, method in METHODS.items():
        predict = method(known)
        result[name] = scores(np.array([predict(row) for row in judging]) / truth - 1)
        print(f"{name:34s}", result[name])
    series = at_usual_speed(samples.repetitions, references=samples.references)
    halves = [
        lower_quartile(values[len(values) // 2 :]) / lower_quartile(values[: len(values) // 2]) - 1
        for i, values in series.items()
        if wanted.jobs[i].role == VALIDATION
    ]
    result["the same networks measured twice"] = scores(np.array(halves))
    content = {"schema": 1, "space": given.space, "networks": len(judging), "methods": result}
    content |= {"noise": round(found.noise, 4)}
    content |= circumstances(("numpy", "onnxruntime"), time.monotonic() - start)
    write_text(HERE / f"methods_{given.space}.yaml", data.to_yaml(content))


if __name__ == "__main__":
    main()
