"""From samples to a table and its validation, on computed times."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from nas.core.errors import MissingEntry, NasError
from nas.latency.file import load_table, write_table
from nas.latency.measure.estimates import quantile
from nas.latency.measure.plan import Plan, to_mapping
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, measure_plan
from nas.latency.measure.samples import (
    CORRECTION,
    FIXED,
    PROBE,
    REFERENCE,
    UNIT,
    VALIDATION,
    Repetition,
    Samples,
)
from nas.latency.measure.tabulate import tabulate
from nas.latency.measure.validation import tau_a, units_ms, validate
from nas.latency.table import LatencyTable
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space.space import Space


class Measured(Protocol):
    """The type of the fixture `exact`."""

    plan: Plan
    proof: Plan
    samples: Samples
    proof_samples: Samples


@pytest.fixture(scope="module")
def table(exact: Measured) -> LatencyTable:
    return tabulate(exact.samples, name="fake_cpu", version="0.1.0")


@pytest.fixture(scope="module")
def proved(exact: Measured, table: LatencyTable) -> LatencyTable:
    return validate(table, exact.proof, exact.proof_samples, date="2026-11-22")


def _true_ms(units: Sequence[Unit]) -> float:
    backend = Target(backend="fake:noise=0").create()
    return 1e3 * backend.open(backend.compile(units))()


def test_networks_are_predicted_where_the_sum_of_their_units_is_off(
    mnasnet_b0: Space, table: LatencyTable
) -> None:
    naive, predicted, inside = [], [], []
    for row in mnasnet_b0.sample_matrix(np.random.default_rng(5), 30):
        units = lower(arch := mnasnet_b0.decode_row(row))
        true, latency = _true_ms(units), table.predict(arch)
        alone = sum(table.entries[unit.key].isolated_ms or 0.0 for unit in units)
        naive.append(alone / true - 1)
        predicted.append(latency.ms / true - 1)
        inside.append(latency.low_ms <= true <= latency.high_ms)
        assert latency.outside == ()
        assert not any(part.extrapolated for part in latency.units)
    assert min(naive) > 0.05
    assert np.mean(naive) > 0.1
    assert np.abs(predicted).mean() < 0.02
    assert np.abs(predicted).max() < 0.05
    assert np.mean(inside) > 0.8


def test_units_keep_what_they_took_alone(exact: Measured, table: LatencyTable) -> None:
    for job in exact.plan.of(UNIT)[:40]:
        entry = table.entries[job.name]
        assert entry.isolated_ms == pytest.approx(_true_ms(job.units), rel=1e-4)
        assert entry.low_ms <= entry.ms <= entry.high_ms


def test_a_table_says_how_it_was_made(exact: Measured, table: LatencyTable) -> None:
    begin, source = exact.samples.begins[-1], table.provenance
    assert source is not None
    assert (table.runtime, table.threads, table.dtype) == ("fake 1", 1, "fp32")
    assert (table.device, source.cpu) == (begin.cpu, begin.cpu)
    assert (source.space, source.backend) == ("mnasnet_b0", "fake:noise=0")
    assert source.choices == exact.plan.choices != ""
    assert (source.batch, source.rounds, source.noise) == (1, 1 + 3 * 2, 0.0)  # of short networks
    assert source.code_version == "0.1.0"
    references = exact.plan.of(REFERENCE)
    assert len(references) > 1
    true = {job.name: _true_ms(job.units) for job in references}
    assert source.reference_ms == pytest.approx(true, rel=1e-5)
    networks = exact.plan.of(CORRECTION)
    assert len(source.calibrated_on) == table.error.networks == len(networks)
    assert table.error.mean < 0.02
    assert table.error.mean <= table.error.worst < 0.1
    assert table.validation is None
    assert table.lacks == {}


def test_what_was_not_measured_comes_from_the_operator_model_with_more_uncertainty(
    mnasnet_b0: Space, table: LatencyTable
) -> None:
    arch = mnasnet_b0.decode_row(mnasnet_b0.sample_matrix(np.random.default_rng(5), 1)[0])
    wide = replace(arch, resolution=208)
    there, elsewhere = table.predict(arch), table.predict(wide)
    extrapolated = [part.key for part in elsewhere.units if part.extrapolated]
    assert extrapolated
    assert extrapolated == [u.key for u in lower(wide) if u.key not in table.entries]
    assert 0.75 < elsewhere.ms / there.ms < 1
    assert elsewhere.high_ms / elsewhere.ms > there.high_ms / there.ms
    assert elsewhere.ms == pytest.approx(_true_ms(lower(wide)), rel=0.15)


def test_validation_compares_networks_that_the_table_was_not_fitted_on(
    exact: Measured, proved: LatencyTable
) -> None:
    proof, source = proved.validation, proved.provenance
    assert proof is not None
    assert source is not None
    assert set(proof.points) == {job.name for job in exact.proof.of(VALIDATION)}
    errors = []
    for number, job in enumerate(exact.proof.jobs):
        if job.role == VALIDATION:
            predicted, measured = proof.points[job.name]
            assert predicted == pytest.approx(units_ms(proved, exact.proof, number), abs=1e-4)
            assert measured == pytest.approx(_true_ms(job.units), rel=1e-4)
            errors.append(predicted / measured - 1)
    size = np.abs(errors)
    assert proof.bias == pytest.approx(np.mean(errors), abs=1e-4)
    assert proof.mape == pytest.approx(size.mean(), abs=1e-4)
    assert proof.worst == pytest.approx(size.max(), abs=1e-4)
    assert proof.within_5 == pytest.approx(np.mean(size <= 0.05), abs=1e-4)
    assert proof.within_10 == pytest.approx(np.mean(size <= 0.1), abs=1e-4)
    assert (proof.noise_floor, proof.noise_worst, proof.speed) == (0.0, 0.0, 1.0)
    assert proof.kendall_tau > 0.95
    assert proof.date == "2026-11-22"
    assert f"{len(errors)} networks measured end to end" in proof.summary


def test_the_interval_becomes_as_wide_as_the_validation_asks_for(
    exact: Measured, table: LatencyTable, proved: LatencyTable
) -> None:
    assert proved.validation is not None
    points = proved.validation.points.values()
    errors = np.array([abs(predicted / ms - 1) for predicted, ms in points])
    assert proved.spread.relative == pytest.approx(quantile(errors), abs=1e-4)
    assert np.mean(errors <= proved.spread.relative + 1e-4) >= 0.9
    for before in (0.0, 0.5):  # whether it was narrower or wider
        spread = replace(table.spread, relative=before, relative_small=before)
        again = validate(replace(table, spread=spread), exact.proof, exact.proof_samples, date="x")
        assert again.spread == proved.spread
    assert replace(proved.spread, relative=0.0, relative_small=0.0) == replace(
        table.spread, relative=0.0, relative_small=0.0
    )


def test_a_machine_that_is_slower_now_changes_speed_and_nothing_else(
    exact: Measured, table: LatencyTable, proved: LatencyTable
) -> None:
    slow = _changed(exact.proof_samples, lambda repetition: 1.25)
    found = validate(table, exact.proof, slow, date="2026-11-22").validation
    assert found is not None
    assert proved.validation is not None
    assert found.speed == pytest.approx(1.25, abs=1e-4)
    assert replace(found, speed=1.0) == proved.validation


def _changed(samples: Samples, slower: Callable[[Repetition], float]) -> Samples:
    """Return samples whose repetitions took `slower` times as long."""
    repetitions = [
        replace(repetition, ms=factor * repetition.ms, median_ms=factor * repetition.median_ms)
        for repetition in samples.repetitions
        for factor in [slower(repetition)]
    ]
    return replace(samples, repetitions=tuple(repetitions))


def test_a_reference_that_is_slower_by_itself_counts_as_one_of_them(
    exact: Measured, table: LatencyTable
) -> None:
    count = exact.proof_samples.references
    odd = _changed(exact.proof_samples, lambda repetition: 1.5 if repetition.job == 0 else 1.0)
    found = validate(table, exact.proof, odd, date="x").validation
    assert found is not None
    assert found.speed == pytest.approx(1.5 ** (1 / count), abs=1e-4)


def test_a_table_with_other_references_is_not_compared(
    exact: Measured, table: LatencyTable
) -> None:
    assert table.provenance is not None
    source = replace(table.provenance, reference_ms={"mobilenet_v2": 9.0})
    with pytest.raises(NasError, match="the table is of another version of this program: measure"):
        validate(replace(table, provenance=source), exact.proof, exact.proof_samples, date="x")


def test_the_noise_floor_is_the_difference_between_two_measurements(
    exact: Measured, table: LatencyTable
) -> None:
    seen: Counter[int] = Counter()

    def later_slower(repetition: Repetition) -> float:
        seen[repetition.job] += 1
        return (
            1.02
            if repetition.job >= exact.proof_samples.references and seen[repetition.job] > 2
            else 1.0
        )

    later = _changed(exact.proof_samples, later_slower)
    found = validate(table, exact.proof, later, date="x").validation
    assert found is not None
    assert found.noise_floor == pytest.approx(0.02, abs=1e-4)
    assert found.noise_worst == pytest.approx(0.02, abs=1e-4)


def test_a_validated_table_is_read_back_as_it_was_written(
    proved: LatencyTable, mnasnet_b0: Space, tmp_path: Path
) -> None:
    for name in ("table.yaml", "table.json"):
        write_table(proved, tmp_path / name, heading="a table of computed times")
        again = load_table(tmp_path / name)
        assert again == proved
    rows = mnasnet_b0.sample_matrix(np.random.default_rng(0), 50)
    assert np.array_equal(again.over(mnasnet_b0)(rows), proved.over(mnasnet_b0)(rows))


def _only(samples: Samples, jobs: set[int]) -> Samples:
    kept = {*range(samples.references), *jobs}
    return replace(samples, repetitions=tuple(v for v in samples.repetitions if v.job in kept))


def test_a_measurement_that_is_too_small_says_to_resume(exact: Measured) -> None:
    roles = [job.role for job in exact.plan.jobs]
    networks = {i for i, role in enumerate(roles) if role == CORRECTION}
    others = {i for i, role in enumerate(roles) if role in (UNIT, PROBE)}
    for kept, message in (
        (set(sorted(others)[:5]), "only 5 units are measured; start the same command again"),
        (set(), "only 0 units are measured"),
        (
            others | set(sorted(networks)[:3]),
            "only 3 networks are measured, 8 are needed; start the same command again",
        ),
    ):
        with pytest.raises(NasError, match=message):
            tabulate(_only(exact.samples, kept), name="t", version="")


def test_a_validation_that_is_too_small_says_to_resume(
    exact: Measured, table: LatencyTable
) -> None:
    samples = exact.proof_samples
    for few in (
        _only(samples, {samples.references}),
        _only(samples, set()),
        replace(samples, repetitions=samples.repetitions[:40]),
    ):
        with pytest.raises(NasError, match="fewer than two networks are measured; start"):
            validate(table, exact.proof, few, date="x")


def test_a_table_whose_validation_is_too_small_has_none(exact: Measured) -> None:
    with_networks = replace(exact.plan, jobs=(*exact.plan.jobs, *exact.proof.of(VALIDATION)))
    head = {**exact.samples.header, "jobs": to_mapping(with_networks)["jobs"]}
    assert tabulate(replace(exact.samples, header=head), name="t", version="").validation is None


def test_samples_that_do_not_hold_what_a_run_costs_make_a_table_too(exact: Measured) -> None:
    fixed = [n for n, job in enumerate(exact.plan.jobs) if job.role == FIXED]
    kept = set(range(len(exact.plan.jobs))) - set(fixed)
    assert tabulate(_only(exact.samples, kept), name="t", version="").overhead_ms == 0


REFUSED = "56x56x24 hidden 96 kernel 5"


@pytest.fixture(scope="module")
def lacking(b0_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    """Return the table of a runtime with noise that refuses units with `REFUSED` in their keys."""
    path = tmp_path_factory.mktemp("lacking") / "samples.jsonl"
    target = Target(backend=f"fake:noise=0.02,refuse={REFUSED}")
    samples, _ = measure_plan(b0_plan, target, path, rounds=Rounds(least=5, most=5))
    return tabulate(samples, name="lacking", version="")


def test_units_that_the_runtime_refuses_are_lacking_and_nothing_else(
    b0_plan: Plan, lacking: LatencyTable
) -> None:
    units = {job.name for job in b0_plan.of(UNIT, PROBE)}
    refused = {key for key in units if REFUSED in key}
    assert len(refused) == 4  # of stride 1 and 2, with and without squeeze-and-excitation
    assert lacking.lacks == {key: f"fake refuses {key}" for key in refused}
    assert set(lacking.entries) == units - refused
    networks = b0_plan.of(CORRECTION)
    held = [any(REFUSED in unit.key for unit in job.units) for job in networks]
    assert sum(held) > 0
    assert lacking.error.networks == len(networks) - sum(held)


def test_predicting_a_refused_unit_raises_with_the_words_of_the_runtime(
    b0_plan: Plan, lacking: LatencyTable, tmp_path: Path
) -> None:
    write_table(lacking, tmp_path / "lacking.yaml")
    for table in (lacking, load_table(tmp_path / "lacking.yaml")):
        hard = next(job for job in b0_plan.of(UNIT) if REFUSED in job.name)
        assert not table.covers(hard.units[0])
        with pytest.raises(MissingEntry) as error:
            table.unit_ms(hard.units[0])
        assert f"{hard.name} (fake refuses {hard.name})" in str(error.value)


def test_networks_with_refused_units_are_left_out_of_the_validation(
    exact: Measured, lacking: LatencyTable
) -> None:
    proved = validate(lacking, exact.proof, exact.proof_samples, date="x")
    networks = exact.proof.of(VALIDATION)
    fine = {job.name for job in networks if not any(REFUSED in u.key for u in job.units)}
    assert proved.validation is not None
    assert set(proved.validation.points) == fine != {job.name for job in networks}


def test_with_noise_networks_are_predicted_nearly_as_well(lacking: LatencyTable) -> None:
    arch = load_architecture("mobilenet_v2")
    assert lacking.predict(arch).ms == pytest.approx(_true_ms(lower(arch)), rel=0.05)
    assert lacking.provenance is not None
    assert 0 < lacking.provenance.noise < 0.05


def test_kendall_tau_is_that_of_scipy() -> None:
    from scipy.stats import kendalltau

    rng = np.random.default_rng(0)
    for _ in range(10):
        one, other = rng.normal(size=(2, 25))
        assert tau_a(one, one + other) == pytest.approx(kendalltau(one, one + other)[0])
    assert tau_a(one, one**3) == 1.0
    assert tau_a(one, -one) == -1.0
