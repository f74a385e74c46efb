"""Choose the few units whose measurement tells most about all others.

An operator model is a linear regression on the relative error, so what it does not know of a unit
is known before anything is measured: it follows from the counts of the units measured so far. The
next unit is always the one whose measurement makes all units together most certain.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas.core.errors import NasError
from nas.latency.measure.estimates import Floats
from nas.latency.measure.plan import Plan
from nas.latency.measure.samples import CORRECTION, PROBE, UNIT
from nas.latency.predictor import COUNTS, FINER, OpModel, counts_of
from nas.latency.table import LatencyTable
from nas.network.layers import Unit

_NAMES = (*COUNTS, *FINER)
_RIDGE, _LITTLE = 1e-2, 0.02
_REDUCED = (UNIT, PROBE, CORRECTION)
_UNITS_PER_NETWORK, _FEWEST_NETWORKS = 6, 10
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


def operator_model(table: LatencyTable) -> OpModel:
    """Return the operator model of a table.

    Raises:
        NasError: if it has none.
    """
    if table.model is None:
        raise NasError(f"latency table {table.name} has no operator model to begin with")
    return table.model


def select_units(units: Sequence[Unit], number: int, *, model: OpModel) -> tuple[int, ...]:
    """Return the places of the `number` units that tell most, in the order of their choice.

    `model` says about how long each part of a unit takes, and need not be of the device.
    """
    rows = shares(units, model)
    unsure = rows @ rows.T / _RIDGE  # covariances of what is not known of any two units
    left, chosen = np.ones(len(units), bool), list[int]()
    for _ in range(min(number, len(units))):
        gain = (unsure**2).sum(axis=0) / (1 + unsure.diagonal())
        place = int(np.argmax(np.where(left, gain, -1.0)))
        left[place] = False
        chosen.append(place)
        unsure = unsure - np.outer(unsure[place], unsure[place]) / (1 + unsure[place, place])
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
