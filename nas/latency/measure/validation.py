"""Validate a table on networks that it was not fitted on, measured end to end."""

from collections.abc import Mapping
from dataclasses import replace
from math import fsum

import numpy as np

from nas.core.errors import NasError
from nas.latency.measure.estimates import (
    Floats,
    at_usual_speed,
    lower_quartile,
    quantile,
    reference_ms,
    speed,
)
from nas.latency.measure.plan import Plan
from nas.latency.measure.samples import VALIDATION, Samples
from nas.latency.provenance import Validation
from nas.latency.table import LatencyTable

_MIN_REPETITIONS = 4


class TooFew(NasError):
    """The networks were not measured often enough to validate a table."""


def validate(table: LatencyTable, plan: Plan, samples: Samples, *, date: str) -> LatencyTable:
    """Return `table` with its validation on the networks of `plan`.

    All times are brought to the speed that the machine had when the table was measured, by the
    reference networks. The first and the second half of the repetitions are the two measurements
    whose difference is the noise floor. The table's interval becomes as wide as the errors require.
    A validation on another device (`other_device`) is kept apart, and changes nothing else.

    Raises:
        TooFew: if the networks were not measured often enough.
    """
    now = reference_ms(samples.repetitions, references=samples.references)
    slower = speed_of(table, plan, now)
    values = at_usual_speed(samples.repetitions, references=samples.references)
    points, halves = {}, []
    for number, job in enumerate(plan.jobs):
        own = values.get(number, np.zeros(0))
        covered = all(table.covers(unit) for unit in job.units)
        if job.role == VALIDATION and covered and len(own) >= _MIN_REPETITIONS:
            middle = len(own) // 2
            halves.append((lower_quartile(own[:middle]), lower_quartile(own[middle:])))
            points[job.name] = (units_ms(table, plan, number), lower_quartile(own) / slower)
    if len(points) < 2:
        raise TooFew("fewer than two networks are measured; start the same command again")
    validation = _scores(points, np.array(halves), slower, date)
    if other := other_device(table, samples):
        return replace(table, elsewhere={**table.elsewhere, other: validation})
    wide = quantile(np.array([abs(predicted / ms - 1) for predicted, ms in points.values()]))
    spread = replace(table.spread, relative=round(wide, 4), relative_small=round(wide, 4))
    return replace(table, validation=validation, spread=spread)


def other_device(table: LatencyTable, samples: Samples) -> str:
    """Return the device and the runtime of `samples`; "" if they are those of `table`."""
    here, source = (samples.machine.cpu, samples.header["runtime"]), table.provenance
    own = (source.cpu if source else table.device, table.runtime)
    return "" if here == own else ", ".join(here)


def speed_of(table: LatencyTable, plan: Plan, now: Mapping[int, float]) -> float:
    """Return how much longer the reference networks take `now` than when `table` was measured.

    `now` are their milliseconds by the number of the job in `plan`; the result is 1 for a table
    that was not measured by this project.

    Raises:
        NasError: if the table was measured with other references.
    """
    if table.provenance is None:
        return 1.0
    return speed(
        {plan.jobs[job].name: ms for job, ms in now.items()}, table.provenance.reference_ms
    )


def units_ms(table: LatencyTable, plan: Plan, number: int) -> float:
    """Return what `table` predicts for one job of `plan`."""
    units = plan.jobs[number].units
    weights = sum(map(table.weights_of, units))
    return float(table.total_ms(fsum(map(table.unit_ms, units)), weights))


def _scores(
    points: Mapping[str, tuple[float, float]], halves: Floats, speed: float, date: str
) -> Validation:
    predicted, measured = np.array(list(points.values())).T
    error = predicted / measured - 1
    twice = np.abs(halves[:, 1] / halves[:, 0] - 1)
    return Validation(
        bias=round(float(error.mean()), 5),
        mape=round(float(np.abs(error).mean()), 5),
        worst=round(float(np.abs(error).max()), 5),
        within_5=round(float(np.mean(np.abs(error) <= 0.05)), 4),
        within_10=round(float(np.mean(np.abs(error) <= 0.1)), 4),
        kendall_tau=round(tau_a(predicted, measured), 4),
        noise_floor=round(float(twice.mean()), 5),
        noise_worst=round(float(twice.max()), 5),
        speed=round(speed, 4),
        date=date,
        points={name: (round(p, 4), round(m, 4)) for name, (p, m) in points.items()},
    )


def tau_a(first: Floats, second: Floats) -> float:
    """Return Kendall's tau-a of two series: concordant less discordant pairs, over all pairs."""
    rows, columns = np.triu_indices(len(first), k=1)
    signs = np.sign(first[rows] - first[columns]) * np.sign(second[rows] - second[columns])
    return float(signs.mean())
