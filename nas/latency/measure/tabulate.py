"""Make a latency table from samples: correct the units, fit the operator model, state the error."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from nas.core.errors import NasError
from nas.latency.correction import Correction
from nas.latency.measure.correction_fit import CorrectionFit, MeasuredNetwork, fit_correction
from nas.latency.measure.estimates import COVERAGE, Estimate, Estimates, Floats, estimate, quantile
from nas.latency.measure.operator_fit import OperatorFit, fit_operators
from nas.latency.measure.plan import Plan, from_mapping
from nas.latency.measure.samples import CORRECTION, FIXED, PROBE, UNIT, Samples
from nas.latency.measure.validation import TooFew, validate
from nas.latency.predictor import OpModel
from nas.latency.provenance import Provenance, TableError
from nas.latency.reload import megabytes
from nas.latency.table import Entry, LatencyTable, Spread
from nas.network.cost import cost_of
from nas.network.layers import Unit

METHOD = (
    "units and networks in shuffled rounds, each repetition (its fastest run) divided by the "
    "drift of reference networks around it, lower quartile over rounds; each unit, without what "
    "any run costs, corrected by a factor of its kind and size and by terms in milliseconds, "
    "fitted by ridge regression on networks measured end to end"
)
_MIN_NETWORKS = 8
_LITTLE_MS = 1e-6
_MIN_UNITS = 20
_OUTSIDE = 0.2
"""By how much of itself a unit beyond the measured range may be off on top: an assumption."""


def tabulate(
    samples: Samples, *, name: str, version: str, prior: LatencyTable | None = None
) -> LatencyTable:
    """Return the table that `samples` give, with a validation where they hold one.

    Raises:
        NasError: if they hold too little for a table.
    """
    plan = from_mapping(samples.header, source="samples")
    found = estimate(samples.repetitions, references=samples.references)
    units, isolated = _units(plan, found)
    fixed_ms = _fixed_ms(plan, found)
    before = prior.model if prior else None
    refused = _refused(plan, samples)
    left_out = _left_out(plan, isolated, refused, before)
    networks = _networks(plan, found, isolated, left_out, samples.header["dtype"])
    correction_fit = fit_correction(networks, fixed_ms=fixed_ms)
    correction = correction_fit.correction
    entries = {
        key: entry_of(units[key], alone, correction, fixed_ms=fixed_ms)
        for key, alone in isolated.items()
    }
    measured_ms = [entries[key].ms for key in units]
    fitted = fit_operators(list(units.values()), measured_ms, prior=before)
    table = LatencyTable(
        name=name,
        **_device(samples),
        runtime=samples.header["runtime"],
        threads=samples.header["threads"],
        dtype=samples.header["dtype"],
        sources=("measured by nas latency measure", *_begun_from(prior)),
        weak=_weak(fitted, plan, units),
        error=_error(correction_fit),
        spread=_spread(correction_fit.errors, fitted),
        overhead_ms=fixed_ms,
        entries=entries,
        model=fitted.model,
        lacks=refused,
        provenance=_provenance(samples, plan, found, version),
        correction=correction,
        reload=correction_fit.reload,
    )
    with suppress(TooFew):  # the table is as good without
        return validate(table, plan, samples, date=samples.machine.date)
    return table


def _fixed_ms(plan: Plan, found: Estimates) -> float:
    """Return what any run costs, 0 where that was not measured."""
    jobs = found.jobs.items()
    fixed = [alone.ms for number, alone in jobs if plan.jobs[number].role == FIXED]
    return round(fixed[0], 6) if fixed else 0.0


def _units(plan: Plan, found: Estimates) -> tuple[Mapping[str, Unit], Mapping[str, Estimate]]:
    """Return the units that were measured, and what they took alone, by key."""
    measured = [
        (job, found.jobs[number])
        for number, job in enumerate(plan.jobs)
        if job.role in (UNIT, PROBE) and number in found.jobs
    ]
    if len(measured) < _MIN_UNITS:
        raise NasError(f"only {len(measured)} units are measured; start the same command again")
    return (
        {job.name: job.units[0] for job, _ in measured},
        {job.name: estimate for job, estimate in measured},
    )


def _networks(
    plan: Plan,
    found: Estimates,
    isolated: Mapping[str, Estimate],
    left_out: Mapping[str, float],
    dtype: str,
) -> tuple[MeasuredNetwork, ...]:
    """Return the networks for the correction whose units were measured alone or are `left_out`."""
    isolated_ms = {**left_out, **{key: one.ms for key, one in isolated.items()}}
    networks = []
    for number, job in enumerate(plan.jobs):
        known = all(unit.key in isolated_ms for unit in job.units)
        if job.role == CORRECTION and number in found.jobs and known:
            alone = [isolated_ms[unit.key] for unit in job.units]
            ms = found.jobs[number].ms
            size = float(megabytes(sum(cost_of(unit).params for unit in job.units), dtype))
            networks.append(
                MeasuredNetwork(units=job.units, isolated_ms=alone, ms=ms, weights_mb=size)
            )
    if len(networks) < _MIN_NETWORKS:
        raise NasError(
            f"only {len(networks)} networks are measured, {_MIN_NETWORKS} are needed; "
            "start the same command again"
        )
    return tuple(networks)


def _left_out(
    plan: Plan,
    isolated: Mapping[str, Estimate],
    refused: Mapping[str, str],
    prior: OpModel | None,
) -> Mapping[str, float]:
    """Return what a model says of the units of networks that were not measured alone."""
    wanted = {unit.key: unit for job in plan.of(CORRECTION) for unit in job.units}
    absent = {key: unit for key, unit in wanted.items() if key not in {*isolated, *refused}}
    if not absent:
        return {}
    planned = {job.name: job.units[0] for job in plan.of(UNIT, PROBE)}
    known_ms = [one.ms for one in isolated.values()]
    model = fit_operators([planned[key] for key in isolated], known_ms, prior=prior).model
    return {key: max(model.ms(unit), _LITTLE_MS) for key, unit in absent.items()}


def _begun_from(prior: LatencyTable | None) -> tuple[str, ...]:
    return (f"its operator model began as that of {prior.name}",) if prior else ()


def entry_of(
    unit: Unit,
    alone: Estimate,
    correction: Correction,
    *,
    fixed_ms: float = 0.0,
    speed: float = 1.0,
) -> Entry:
    """Return the entry of a unit.

    `fixed_ms` is what any run costs; `speed` brings what was measured at another time to the speed
    of the table.
    """
    # rounded as in a table's file, so that the table predicts the same when it is read again
    corrected_ms = [
        round(correction.corrected_ms(unit, speed * one, fixed_ms), 6)
        for one in (alone.low_ms, alone.ms, alone.high_ms)
    ]
    return Entry(
        ms=corrected_ms[1],
        low_ms=min(corrected_ms),
        high_ms=max(corrected_ms),
        isolated_ms=round(speed * alone.ms, 6),
    )


def _refused(plan: Plan, samples: Samples) -> Mapping[str, str]:
    """Return the runtime's messages about units that it refuses, by key."""
    refused = [(plan.jobs[number], text) for number, text in samples.refused.items()]
    return {job.name: text for job, text in refused if job.role in (UNIT, PROBE)}


def _error(fit: CorrectionFit) -> TableError:
    size = np.abs(fit.errors)
    mean = round(float(size.mean()), 4)
    return TableError(
        scheme="leave one network out of the fit of the correction",
        networks=len(size),
        mean=mean,
        mean_large=mean,
        worst=round(float(size.max()), 4),
    )


def _spread(errors: Floats, fitted: OperatorFit) -> Spread:
    relative = quantile(np.abs(errors))
    return Spread(
        coverage=COVERAGE,
        covered=round(float(np.mean(np.abs(errors) <= relative)), 3),
        relative=round(relative, 4),
        relative_small=round(relative, 4),
        small_below=0,
        assumed=0.0,
        outside=_OUTSIDE,
        modelled=round(quantile(np.abs(fitted.errors)), 4),
    )


def _weak(fitted: OperatorFit, plan: Plan, units: Mapping[str, Unit]) -> tuple[str, ...]:
    off = 100 * float(np.abs(fitted.errors).mean())
    text = f"units that were not measured come from the operator model, {off:.0f} % off on average"
    planned = len(plan.of(UNIT, PROBE))
    few = f"{len(units)} of {planned} planned units were measured"
    return (few, text) if len(units) < planned else (text,)


def _device(samples: Samples) -> Mapping[str, Any]:
    machine = samples.machine
    cores = ", ".join(map(str, machine.cores))
    pinned = f"pinned to core {cores}" if cores else "not pinned"
    return {"device": machine.cpu, "core": f"{pinned}, of {machine.cpu_count}"}


def _provenance(samples: Samples, plan: Plan, found: Estimates, version: str) -> Provenance:
    return Provenance(
        **asdict(samples.machine),
        space=plan.name,
        batch=1,
        method=METHOD,
        code_version=version,
        reference_ms=references_by_name(plan, found),
        rounds=max(e.rounds for e in found.jobs.values()),
        noise=round(found.noise, 4),
        calibrated_on=plan.fitted_on,
        choices=plan.choices,
        graph=samples.header.get("graph", ""),
    )


def references_by_name(plan: Plan, found: Estimates) -> Mapping[str, float]:
    """Return what the reference networks took in milliseconds, by name."""
    return {plan.jobs[job].name: round(ms, 6) for job, ms in found.reference_ms.items()}
