"""Choose the units whose measurement tells most about all others, where time is short.

An operator model is a linear regression on the relative error, so what it does not know of a unit
is known before anything is measured: it follows from the counts of the units measured so far. The
next unit is always the one whose measurement makes all units together most certain.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas.core.errors import NasError
from nas.latency.file import load_table
from nas.latency.measure.estimates import Floats
from nas.latency.measure.plan import MeasuringJob, Plan
from nas.latency.measure.samples import CORRECTION, FIXED, PROBE, UNIT, VALIDATION
from nas.latency.predictor import COUNTS, FINER, OpModel, counts_of
from nas.latency.table import LatencyTable
from nas.network.layers import Unit

_NAMES = (*COUNTS, *FINER)
_ROUGH = "note10"
_RIDGE, _LITTLE = 1e-2, 0.02
_REDUCED = (UNIT, PROBE, CORRECTION)
_NETWORKS = (CORRECTION, VALIDATION)
_UNITS_PER_NETWORK, _FEWEST_NETWORKS = 6, 10
_GOLDEN = 0.6180339887
MAX_ORDERED = 2000
"""Most jobs that are ordered; what cannot be measured in the time is far less."""
MIN_UNITS = 20
"""The fewest units that a table is made of."""


def reduce_plan(plan: Plan, number: int, *, model: OpModel) -> Plan:
    """Return `plan` with the `number` of its units that tell most, and fewer networks to fit on.

    Units of these networks that are not measured are predicted (`tabulate`).

    Raises:
        NasError: if it would be fewer units than a table is made of.
    """
    if number < MIN_UNITS:
        raise NasError(f"`units={number}`: a table needs {MIN_UNITS} or more")
    units, networks = plan.of(UNIT, PROBE), plan.of(CORRECTION)
    places = select_units([job.units[0] for job in units], number, model=model)
    kept = {units[place].name for place in places}
    count = min(max(number // _UNITS_PER_NETWORK, _FEWEST_NETWORKS), len(networks))
    spread = np.linspace(0, len(networks) - 1, count).round().astype(int) if count else ()
    kept |= {networks[int(place)].name for place in spread}
    jobs = [job for job in plan.jobs if job.role not in _REDUCED or job.name in kept]
    return replace(plan, jobs=tuple(jobs))


def operator_model(table: LatencyTable | None = None) -> OpModel:
    """Return the operator model of a table, by default of one that tells roughly.

    Raises:
        NasError: if it has none.
    """
    table = table or load_table(_ROUGH)
    if table.model is None:
        raise NasError(f"latency table {table.name} has no operator model to begin with")
    return table.model


def order_jobs(plan: Plan, *, model: OpModel) -> tuple[int, ...]:
    """Return the first jobs of `plan`, by their numbers, in the order of what they tell.

    After what a table needs at least (`MIN_JOBS` of `rounds`), a network for the correction and
    one for the validation follow every few units. References are not among them.
    """
    numbers = {job.name: number for number, job in enumerate(plan.jobs)}
    alone = plan.of(UNIT, PROBE)
    places = select_units([job.units[0] for job in alone], MAX_ORDERED, model=model)
    queues = [
        deque(numbers[alone[place].name] for place in places),
        *(deque(numbers[job.name] for job in _spread(plan.of(r))) for r in _NETWORKS),
    ]
    found = [numbers[job.name] for job in plan.of(FIXED)]
    counts = (MIN_UNITS, _FEWEST_NETWORKS, 0)
    while any(queues) and len(found) < MAX_ORDERED:
        for queue, count in zip(queues, counts, strict=True):
            found += [queue.popleft() for _ in range(min(count, len(queue)))]
        counts = (_UNITS_PER_NETWORK, 1, 1)
    return tuple(found)


def _spread(jobs: Sequence[MeasuringJob]) -> list[MeasuringJob]:
    """Return jobs in an order in which the first few are spread over all."""
    places = np.argsort(np.arange(len(jobs)) * _GOLDEN % 1, kind="stable")
    return [jobs[place] for place in places.tolist()]


def select_units(units: Sequence[Unit], number: int, *, model: OpModel) -> tuple[int, ...]:
    """Return the places of the `number` units that tell most, in the order of their choice.

    `model` says about how long each part of a unit takes, and need not be of the device.
    """
    if not units:
        return ()
    rows = shares(units, model)
    unsure = np.eye(rows.shape[1]) / _RIDGE  # covariances of what is not known of the coefficients
    wanted = rows.T @ rows
    left, chosen = np.ones(len(units), bool), list[int]()
    for _ in range(min(number, len(units))):
        seen = rows @ unsure
        gain = np.einsum("ij,jk,ik->i", seen, wanted, seen)
        gain /= 1 + np.einsum("ij,ij->i", seen, rows)
        place = int(np.argmax(np.where(left, gain, -1.0)))
        left[place] = False
        chosen.append(place)
        unsure -= np.outer(seen[place], seen[place]) / (1 + seen[place] @ rows[place])
    return tuple(chosen)


def shares(units: Sequence[Unit], model: OpModel) -> Floats:
    """Return the part of each count in the latency of each unit, by `model`; rows add up to 1.

    What is free by `model` counts as if it took a little, since it may not be elsewhere.
    """
    counts = [counts_of(unit) for unit in units]
    rows = np.array([[one.get(name, 0) for name in _NAMES] for one in counts], float)
    nanoseconds = np.array([model.coefficients.get(name, 0.0) for name in _NAMES])
    parts = rows * nanoseconds
    usual = rows / np.where(rows.any(axis=0), rows.mean(axis=0), 1.0)
    parts = parts + usual * (nanoseconds == 0) * _LITTLE * parts.sum(axis=1).mean()
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))
