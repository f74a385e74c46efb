"""Plan a measurement: the models to run, each a chain of units with a role."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.core.data import bundled
from nas.core.errors import BadFile
from nas.core.schema import Reader
from nas.core.text import shown
from nas.latency.measure.probes import probes, smallest
from nas.latency.measure.references import REFERENCES, SMALL_SIDE, networks_of, references_for
from nas.latency.measure.samples import CORRECTION, FIXED, PROBE, REFERENCE, UNIT, VALIDATION
from nas.network.blocks import Architecture, Blocks, block_mapping
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit
from nas.network.lowering import alone, inputs_of, lower, lower_chain
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.space.heads import Detectors, decode
from nas.space.lookup import distinct_units
from nas.space.sampling import biased_rows
from nas.space.slots import slots_of
from nas.space.space import Space
from nas.space.with_heads import Bodies

CORRECTION_NETWORKS, SMALL_NETWORKS = 40, 100
"""Networks of the space that the correction is fitted on: more of small ones, which take less time
and depend more on what is around a unit."""
VALIDATION_NETWORKS = 16
PROBES = 120
RELATIVES = (
    "mobilenet_v1@0.75-192",
    "mobilenet_v1@0.5-160",
    "mobilenet_v2@0.75-192",
    "mobilenet_v3_large@0.75-192",
    "mobilenet_v3_large@1.25-160",
    "mobilenet_v3_small@0.75-224",
    "mobilenet_v3_small@1.5-192",
)
"""Networks of other families than the space's that the correction is fitted on too. The zoo itself
is not among them, so that it can validate. For small inputs both are scaled down."""

SAMPLED = 24
"""Further networks whose units are measured where a space has too many units."""
_MAX_PLACES = 20_000
"""Combinations of choices for a part of a network, of which many give the same unit."""

_MAX_ZOO_MACS = 1_000_000_000
_USUAL_SIDE = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringJob:
    """One model to measure: consecutive `units`, and what for (`role`).

    A unit and a probe are named by their key, a network by its architecture or its number.
    """

    name: str
    role: str
    units: tuple[Unit, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds of the model."""
        return sum(cost_of(unit).macs for unit in self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a measurement consists of, the reference networks first.

    `choices` is the fingerprint of the space whose units it measures, if it is a space.
    """

    name: str
    jobs: tuple[MeasuringJob, ...]
    choices: str = ""

    def of(self, *roles: str) -> tuple[MeasuringJob, ...]:
        """Return the jobs of some roles."""
        return tuple(job for job in self.jobs if job.role in roles)

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """The fingerprints of the networks for the correction, which end their names."""
        return tuple(job.name.rpartition(" ")[2] for job in self.of(CORRECTION))


def plan_space(
    space: Space,
    *,
    networks: int | None = None,
    seed: int = 0,
    detectors: Detectors | None = None,
) -> Plan:
    """Return the plan for a table of a space.

    It measures all units of the space, or of a sample of its networks where it is not `measurable`;
    those of the zoo's networks of up to a billion multiply-adds, for baselines; probes, so that the
    operator model is fitted on more than one family; and networks for the correction. Half of these
    are drawn uniformly, half with a bias to small or large choices, so that they cover a wider
    range; `RELATIVES` of the zoo join them. For small inputs, what is not of the space is scaled
    down to them, and there are more `networks` by default. With `detectors` these are measured,
    on the networks of the space, and the relatives with the same head besides.
    """
    rng, side = np.random.default_rng([seed, 0]), max(space.resolutions)
    if networks is None:
        networks = CORRECTION_NETWORKS if side > SMALL_SIDE else SMALL_NETWORKS
    half = networks // 2
    rows = [*space.sample_matrix(rng, networks - half), *biased_rows(space, rng, half)]
    head = detectors.head if detectors else None
    drawn = decode(space, np.array(rows), head)
    relatives = [scaled_to(load_architecture(name), side) for name in RELATIVES]
    relatives += [head(head.at_its_side(arch, space)) for arch in relatives] if head else []
    if measurable(space):
        units = _units_of_bodies(detectors.bodies) if detectors else distinct_units(space)
    else:
        units = _units([*drawn, *decode(space, space.sample_matrix(rng, SAMPLED), head)])
    known = _units([*small_zoo(side).values(), *relatives])
    plan = _plan(space.name, {**units, **known}, [*drawn, *relatives], rng, side)
    return replace(plan, choices=space.fingerprint)


def measurable(space: Space) -> bool:
    """Return whether all units of a space can be measured; else the operator model does for most.

    Example:
        >>> from nas.space.file import load_space
        >>> measurable(load_space("mnasnet_b0")), measurable(load_space("mbconv"))
        (True, False)
    """
    return sum(slot.size for slot in slots_of(space)) <= _MAX_PLACES


def _units_of_bodies(bodies: Bodies) -> Mapping[str, Unit]:
    """Return the units of all networks of a space as detectors have them, and those of heads."""
    heads = _units(arch for _, arch in bodies.examples())
    return {**distinct_units(bodies.space, units=bodies.units), **heads}


def plan_networks(name: str, archs: Sequence[Architecture], *, seed: int = 0) -> Plan:
    """Return the plan for the units of some networks and the zoo, and for all of these."""
    side = max(arch.resolution for arch in archs)
    everyone = [*archs, *small_zoo(side).values()]
    return _plan(name, _units(everyone), everyone, np.random.default_rng([seed, 0]), side)


def plan_units(
    name: str, units: Sequence[Unit], *, references: Iterable[str] | None = None
) -> Plan:
    """Return the plan that measures some units alone."""
    jobs = (*_references(references or REFERENCES), *(_unit_job(unit, UNIT) for unit in units))
    return Plan(name=name, jobs=jobs)


def plan_check(
    name: str, archs: Sequence[Architecture], *, references: Iterable[str] | None = None
) -> Plan:
    """Return the plan that measures some networks end to end, by their names.

    Where several have the same name, the later ones get a number: "best", "best (2)". The
    references are by default those for inputs of their size.
    """
    references = references or references_for(max(arch.resolution for arch in archs))
    seen: Counter[str] = Counter()
    jobs = []
    for arch in archs:
        own = arch.name or arch.fingerprint
        seen[own] += 1
        label = own if seen[own] == 1 else f"{own} ({seen[own]})"
        jobs.append(network_job(arch, label, VALIDATION))
    return Plan(name=name, jobs=(*_references(references), *jobs))


def plan_validation(
    space: Space,
    *,
    networks: int,
    known: frozenset[str] = frozenset(),
    references: Iterable[str] | None = None,
    seed: int = 0,
) -> Plan:
    """Return the plan that measures random networks of `space` and the zoo end to end.

    `known` are fingerprints of networks that must not be among them: what the table is fitted on.
    For small inputs the zoo is scaled down to them.
    """
    rng = np.random.default_rng([seed, 1])
    jobs: dict[str, MeasuringJob] = {}
    for _ in range(20 * networks):
        if len(jobs) == networks:
            break
        arch = space.decode_row(space.sample_matrix(rng, 1)[0])
        if arch.fingerprint not in {*known, *jobs}:
            jobs[arch.fingerprint] = network_job(arch, f"network {len(jobs)}", VALIDATION)
    zoo = [
        network_job(arch, name, VALIDATION)
        for name, arch in small_zoo(max(space.resolutions)).items()
        if arch.fingerprint not in known
    ]
    return Plan(
        name=space.name, jobs=(*_references(references or REFERENCES), *jobs.values(), *zoo)
    )


def small_zoo(side: int = _USUAL_SIDE) -> Mapping[str, Architecture]:
    """Return the bundled architectures of up to a billion multiply-adds, by name.

    They are scaled down for small inputs, of up to `side` pixels.
    """
    archs = {name: load_architecture(name) for name in bundled("architectures")}
    small = {name: arch for name, arch in archs.items() if cost(arch).macs <= _MAX_ZOO_MACS}
    return {name: scaled_to(arch, side) for name, arch in small.items()}


def scaled_to(arch: Architecture, side: int) -> Architecture:
    """Return `arch` with its input scaled as from 224 pixels to `side`, if these are small."""
    return scale_resolution(arch, max(1, round(arch.resolution * _shrink(side))))


def _shrink(side: int) -> float:
    """Return by what inputs of usual sizes are multiplied for a space of up to `side` pixels."""
    return side / _USUAL_SIDE if side <= SMALL_SIDE else 1.0


def network_job(arch: Architecture, name: str, role: str) -> MeasuringJob:
    """Return the job that measures a network end to end."""
    return MeasuringJob(name=name, role=role, units=lower(arch))


def _plan(
    name: str,
    units: Mapping[str, Unit],
    networks: Sequence[Architecture],
    rng: np.random.Generator,
    side: int,
) -> Plan:
    jobs = [*_references(references_for(side)), _unit_job(smallest(), FIXED)]
    jobs += [_unit_job(unit, UNIT) for unit in units.values()]
    drawn = probes(rng, PROBES, shrink=_shrink(side))
    extra = {unit.key: unit for unit in drawn if unit.key not in units}
    jobs += [_unit_job(unit, PROBE) for unit in extra.values()]
    jobs += [
        network_job(arch, f"{CORRECTION} {i} {arch.fingerprint}", CORRECTION)
        for i, arch in enumerate(networks)
    ]
    return Plan(name=name, jobs=tuple(jobs))


def _units(archs: Iterable[Architecture]) -> Mapping[str, Unit]:
    return {unit.key: unit for arch in archs for unit in lower(arch)}


def _unit_job(unit: Unit, role: str) -> MeasuringJob:
    return MeasuringJob(name=unit.key, role=role, units=(alone(replace(unit, name="unit")),))


def _references(names: Iterable[str]) -> tuple[MeasuringJob, ...]:
    archs = networks_of(names)
    return tuple(network_job(arch, name, REFERENCE) for name, arch in archs.items())


# What a file holds of a plan: enough to build every model and table again


def to_mapping(plan: Plan) -> dict[str, Any]:
    """Return `plan` as plain data; `from_mapping` gives an equal one back."""
    return {
        "name": plan.name,
        **({"choices": plan.choices} if plan.choices else {}),
        "jobs": [
            {
                "name": job.name,
                "role": job.role,
                "input": list(job.units[0].in_shapes[0]),
                **_more_inputs(job.units),
                "blocks": _blocks(job.units),
            }
            for job in plan.jobs
        ],
    }


def _more_inputs(units: Sequence[Unit]) -> dict[str, Any]:
    """Return the shapes of what a unit alone reads beside its first input, if anything."""
    _, *more = inputs_of(units).values()
    return {"more_inputs": [list(shape) for shape in more]} if more else {}


def _blocks(units: Sequence[Unit]) -> list[dict[str, Any]]:
    """Return the blocks of units as plain data, with the numbers of those that they read."""
    numbers = {unit.name: str(number) for number, unit in enumerate(units)}
    numbers |= {name: name for name in inputs_of(units)}
    return [
        block_mapping(replace(unit.block, inputs=tuple(numbers[name] for name in unit.inputs)))
        for unit in units
    ]


def from_mapping(content: Mapping[str, Any], *, source: str) -> Plan:
    """Return the plan that `content` describes.

    Raises:
        BadFile: if a block is none; the message begins with `source`.
    """
    jobs = []
    for row in content["jobs"]:
        blocks = Reader(f"{source}: {row['name']}").get(row, "blocks", Blocks)
        if not blocks:
            raise BadFile(f"{source}: job {shown(row['name'])} has no blocks")
        units = lower_chain(blocks, tuple(row["input"]), *map(tuple, row.get("more_inputs", ())))
        jobs.append(MeasuringJob(name=row["name"], role=row["role"], units=units))
    return Plan(name=content["name"], jobs=tuple(jobs), choices=content.get("choices", ""))
