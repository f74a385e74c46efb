"""A table from few units: those most informative, with a table of another device as prior."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from nas.core.errors import NasError
from nas.latency.dialect import unit_from_key
from nas.latency.file import load_table
from nas.latency.measure import rounds as rounds_module
from nas.latency.measure.bundle import with_validation
from nas.latency.measure.make import make_table
from nas.latency.measure.operator_fit import fit_operators
from nas.latency.measure.plan import Plan
from nas.latency.measure.rounds import MIN_JOBS, Rounds
from nas.latency.measure.run import Target
from nas.latency.measure.samples import CORRECTION, FIXED, PROBE, REFERENCE, UNIT, VALIDATION
from nas.latency.measure.selection import (
    operator_model,
    order_jobs,
    reduce_plan,
    select_units,
    shares,
)
from nas.space.space import Space

TABLE = load_table("note10")
MODEL = operator_model(TABLE)
UNITS = [unit_from_key(key) for key in TABLE.entries]
MS = [entry.ms for entry in TABLE.entries.values()]


def test_units_with_other_operators_come_before_more_of_the_same() -> None:
    rows = shares(UNITS, MODEL)
    assert rows.sum(axis=1) == pytest.approx(np.ones(len(UNITS)))
    chosen = select_units(UNITS, 12, model=MODEL)
    assert len(set(chosen)) == 12
    kinds = {UNITS[place].block.kind for place in chosen}
    assert kinds >= {"mbconv", "linear", "pool"}
    assert select_units(UNITS, 5, model=MODEL) == chosen[:5]
    assert sorted(select_units(UNITS[:7], 99, model=MODEL)) == list(range(7))


def _error(places: tuple[int, ...], prior: bool) -> float:
    """Return the mean relative error on all units, of a model fitted to some."""
    known, ms = [UNITS[p] for p in places], [MS[p] for p in places]
    before = load_table("pixel1").model if prior else None
    fitted = replace(TABLE, entries={}, model=fit_operators(known, ms, prior=before).model)
    found = np.array([fitted.unit_ms(unit) for unit in UNITS])
    return float(np.abs(found / np.array(MS) - 1).mean())


def test_chosen_units_and_a_prior_tell_more_than_random_units() -> None:
    drawn = [tuple(np.random.default_rng(i).permutation(len(UNITS))[:20]) for i in range(8)]
    random = float(np.mean([_error(places, prior=False) for places in drawn]))
    chosen = select_units(UNITS, 20, model=operator_model(load_table("pixel1")))
    assert _error(chosen, prior=False) < random
    assert _error(chosen, prior=True) < 0.08


def test_a_prior_gives_way_to_many_measurements() -> None:
    prior = load_table("pixel1").model
    plain, begun = fit_operators(UNITS, MS), fit_operators(UNITS, MS, prior=prior)
    assert np.abs(begun.errors).mean() == pytest.approx(np.abs(plain.errors).mean(), rel=0.2)


def test_a_plan_is_reduced_to_units_and_networks(b0_plan: Plan) -> None:
    few = reduce_plan(b0_plan, 60, model=MODEL)
    assert len(few.of(UNIT, PROBE)) == 60
    assert len(few.of(CORRECTION)) == 10
    assert few.of(REFERENCE, FIXED) == b0_plan.of(REFERENCE, FIXED)
    assert set(few.jobs) <= set(b0_plan.jobs)
    assert few.jobs[: len(few.of(REFERENCE))] == few.of(REFERENCE)
    with pytest.raises(NasError, match="`units=19`: a table needs 20 or more"):
        reduce_plan(b0_plan, 19, model=MODEL)


def test_a_table_of_few_units_predicts_nearly_as_well(
    b0_plan: Plan, mnasnet_b0: Space, tmp_path: Path
) -> None:
    target, rounds = Target(backend="fake:noise=0"), Rounds(least=1, most=1)
    whole = make_table(b0_plan, target, tmp_path / "whole.yaml", rounds=rounds)
    prior = load_table("pixel1")
    plan = reduce_plan(b0_plan, 60, model=operator_model(prior))
    few = make_table(plan, target, tmp_path / "few.yaml", rounds=rounds, prior=prior)
    assert len(few.entries) == 60
    assert few.sources[-1] == "its operator model began as that of pixel1"
    rows = mnasnet_b0.sample_matrix(np.random.default_rng(3), 50)
    found = few.over(mnasnet_b0)(rows) / whole.over(mnasnet_b0)(rows) - 1
    assert np.abs(found).mean() < 0.04
    assert few.error.mean < 0.06


def test_the_order_of_jobs_begins_with_what_a_table_needs(b0_plan: Plan) -> None:
    found = order_jobs(b0_plan, model=MODEL)
    references = len(b0_plan.of(REFERENCE))
    assert sorted(found) == list(range(references, len(b0_plan.jobs)))
    roles = [b0_plan.jobs[number].role for number in found]
    needed = Counter("unit" if role == PROBE else role for role in roles[:MIN_JOBS])
    assert needed == {FIXED: 1, UNIT: 20, CORRECTION: 10}
    alone = b0_plan.of(UNIT, PROBE)
    first = select_units([job.units[0] for job in alone], 20, model=MODEL)
    assert [b0_plan.jobs[n].name for n in found[1:21]] == [alone[p].name for p in first]
    few = [int(b0_plan.jobs[n].name.split()[1]) for n in found[21:31]]
    assert max(np.diff(sorted([-1, *few, 47]))) < 10  # spread over all networks


def test_little_time_makes_a_table_of_the_units_that_tell_most(
    b0_plan: Plan, mnasnet_b0: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = with_validation(b0_plan, mnasnet_b0, 4)
    monkeypatch.setattr(rounds_module._Remaining, "_is_enough", lambda self: self._done >= 150)
    rounds = Rounds(least=5, most=5, seconds=600.0)
    path = tmp_path / "few.yaml"
    table = make_table(plan, Target(backend="fake:noise=0"), path, rounds=rounds)
    taken = order_jobs(plan, model=operator_model())[:150]
    units = {plan.jobs[n].name for n in taken if plan.jobs[n].role in (UNIT, PROBE)}
    assert set(table.entries) == units
    assert (
        table.weak[0] == f"{len(units)} of {len(plan.of(UNIT, PROBE))} planned units were measured"
    )
    assert table.error.networks == sum(plan.jobs[n].role == CORRECTION for n in taken)
    assert table.validation
    assert len(table.validation.points) == sum(plan.jobs[n].role == VALIDATION for n in taken)
    assert table.validation.mape < 0.05


def test_a_table_without_a_model_is_no_prior() -> None:
    with pytest.raises(NasError, match="note10 has no operator model to begin with"):
        operator_model(replace(TABLE, model=None))
