"""Making, validating and completing tables in one call each, on computed times."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.core.errors import BadFile, MissingEntry, NasError, RunError, UnknownName
from nas.latency.file import load_table, write_table
from nas.latency.measure import run
from nas.latency.measure.make import (
    add_missing,
    complete,
    cover,
    make_table,
    samples_path,
    target_of,
    validate_table,
)
from nas.latency.measure.plan import RELATIVES, Plan, plan_space
from nas.latency.measure.references import references_for, references_of
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, duration
from nas.latency.measure.samples import CORRECTION, REFERENCE, UNIT, read_samples
from nas.latency.table import LatencyTable
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space.space import Space

FEW = Rounds(least=4, most=4)
EXACT = Target(backend="fake:noise=0")
V2 = load_architecture("mobilenet_v2")
ODD = replace(V2, resolution=208)


@pytest.fixture(scope="module")
def made(b0_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "my_cpu.yaml"
    make_table(b0_plan, EXACT, path, rounds=FEW)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the table that a test may change."""
    copy = tmp_path / made.name
    copy.write_bytes(made.read_bytes())
    return copy


def test_a_table_is_written_beside_its_samples(made: Path, b0_plan: Plan) -> None:
    table = load_table(made)
    assert table.name == "my_cpu"
    assert made.read_text().startswith(f"# {table.heading}\n")
    counts = {repetition.job for repetition in read_samples(samples_path(made)).repetitions}
    assert counts == set(range(len(b0_plan.jobs)))


def test_a_finished_measurement_gives_the_same_table_again(
    made: Path, b0_plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / made.name
    samples_path(path).write_bytes(samples_path(made).read_bytes())
    assert make_table(b0_plan, EXACT, path, rounds=FEW) == load_table(made)


def test_an_interrupted_measurement_keeps_its_samples_and_says_to_resume(
    b0_plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "t.yaml"
    with pytest.raises(NasError, match="start the same command again"):
        make_table(b0_plan, EXACT, path, rounds=replace(FEW, seconds=0.0))
    assert not path.exists()
    assert samples_path(path).exists()
    make_table(b0_plan, EXACT, path, rounds=FEW)
    assert path.exists()


def test_another_measurement_into_the_same_file_is_refused(
    made: Path, b0_plan: Plan, tiny: Space
) -> None:
    before = made.read_bytes(), samples_path(made).read_bytes()
    for plan, target, message in (
        (b0_plan, replace(EXACT, threads=2), "was measured with threads 1, not 2"),
        (b0_plan, replace(EXACT, dtype="int8"), "was measured with dtype fp32, not int8"),
        (plan_space(tiny), EXACT, "was measured with another plan"),
    ):
        with pytest.raises(RunError, match=message):
            make_table(plan, target, made, rounds=FEW)
    assert (made.read_bytes(), samples_path(made).read_bytes()) == before


def test_a_name_that_is_no_tables_is_refused_before_anything_is_measured(
    b0_plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match=r"t\.txt: a table's name ends in \.yaml or \.json"):
        make_table(b0_plan, EXACT, tmp_path / "t.txt", rounds=FEW)
    assert list(tmp_path.iterdir()) == []


def test_a_proof_is_stored_in_the_table_and_leaves_no_scratch(path: Path) -> None:
    proved, elsewhere = validate_table(path, networks=10)
    assert not elsewhere
    assert load_table(path) == proved
    assert proved.validation is not None
    assert sum(name.startswith("network ") for name in proved.validation.points) == 10
    assert "mobilenet_v2" in proved.validation.points
    assert proved.validation.noise_floor == 0.0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_table_that_is_no_file_cannot_be_validated(tmp_path: Path) -> None:
    for name in (tmp_path / "none.yaml", Path("pixel1")):
        with pytest.raises(BadFile, match="no such file; the result is stored in the table"):
            validate_table(name, networks=3)


def test_an_interrupted_validation_is_resumed_with_the_same_networks_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.latency.measure.make.TWICE", Rounds(least=1, most=1))
    with pytest.raises(NasError, match="fewer than two networks are measured; start the same"):
        validate_table(path, networks=3)
    monkeypatch.undo()
    scratch = path.with_suffix(".validation.jsonl")
    before = scratch.read_bytes()
    with pytest.raises(RunError) as error:
        validate_table(path, networks=4)
    assert str(error.value) == (
        f"{scratch} was measured with another plan; resume with the same `networks` and "
        "`space`, or delete it"
    )
    assert scratch.read_bytes() == before
    assert validate_table(path, networks=3)[0].validation is not None
    assert not scratch.exists()


def test_a_table_of_no_bundled_space_asks_for_one(path: Path) -> None:
    table = load_table(path)
    assert table.provenance is not None
    write_table(replace(table, provenance=replace(table.provenance, space="front")), path)
    with pytest.raises(NasError, match="measured for 'front', which is no bundled space; name a"):
        validate_table(path, networks=3)
    assert validate_table(path, networks=3, space="mnasnet_b0")[0].validation is not None


def test_missing_units_are_measured_and_corrected_like_the_others(made: Path) -> None:
    table = load_table(made)
    lacking = [unit for unit in lower(ODD) if unit.key not in table.entries]
    full = complete(table, lower(ODD), rounds=FEW)
    assert lacking
    assert set(full.entries) == {*table.entries, *(unit.key for unit in lacking)}
    assert {key: full.entries[key] for key in table.entries} == dict(table.entries)
    true = 1e3 * EXACT.create().open(EXACT.create().compile(lower(ODD)))()
    assert full.predict(ODD).ms == pytest.approx(true, rel=0.05)
    assert complete(full, lower(ODD), rounds=FEW) is full


def test_what_any_run_costs_is_in_the_table(made: Path) -> None:
    assert load_table(made).overhead_ms == pytest.approx(0.010, abs=1e-5)  # of the fake backend


def test_a_unit_that_is_measured_again_gets_the_same_entry(made: Path, b0_plan: Plan) -> None:
    table = load_table(made)
    for job in b0_plan.of(UNIT)[:20]:
        less = replace(table, entries={k: e for k, e in table.entries.items() if k != job.name})
        again, before = complete(less, job.units, rounds=FEW), table.entries[job.name]
        assert again.entries[job.name].ms == pytest.approx(before.ms, abs=3e-6)
        assert again.entries[job.name].isolated_ms == pytest.approx(before.isolated_ms, abs=3e-6)


def test_nothing_is_missing_from_a_fresh_table(path: Path, made: Path, b0_plan: Plan) -> None:
    assert add_missing(b0_plan, EXACT, path, rounds=FEW) == load_table(made) == load_table(path)


def test_a_table_of_small_inputs_is_completed_beside_its_own_references(
    tiny: Space, tmp_path: Path
) -> None:
    plan = plan_space(tiny, networks=10)
    table = make_table(plan, EXACT, tmp_path / "t.yaml", rounds=FEW)
    assert references_of(table) == references_for(32)
    assert len(complete(table, lower(ODD), rounds=FEW).entries) > len(table.entries)


def test_missing_units_are_given_for_the_speed_the_machine_had_then(made: Path) -> None:
    table = load_table(made)
    assert table.provenance is not None
    then = {name: 2 * ms for name, ms in table.provenance.reference_ms.items()}
    slow = replace(table, provenance=replace(table.provenance, reference_ms=then))
    now, twice = (complete(t, lower(ODD), rounds=FEW) for t in (table, slow))
    for key in set(now.entries) - set(table.entries):
        alone, slower = now.entries[key].isolated_ms, twice.entries[key].isolated_ms
        assert slower == pytest.approx(2 * alone, abs=2e-6)
        assert twice.entries[key].ms > now.entries[key].ms


def test_another_version_of_the_runtime_is_not_measured_with(made: Path) -> None:
    table = load_table(made)
    older = replace(table, runtime="fake 0.9")
    with pytest.raises(NasError, match=r"measured with fake 0\.9, and this is fake 1: install"):
        complete(older, lower(ODD), rounds=FEW)
    assert complete(older, lower(V2), rounds=FEW) is older  # nothing is lacking


def test_graphs_of_another_version_are_not_measured_with(made: Path) -> None:
    table = load_table(made)
    assert table.provenance is not None
    older = replace(table, provenance=replace(table.provenance, graph="QDQ 0"))
    with pytest.raises(NasError, match="with fp32 graphs of another version than those"):
        complete(older, lower(ODD), rounds=FEW)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v2 at home", "a at 99999999999", ""])
def test_a_table_with_unknown_references_is_not_completed(made: Path, name: str) -> None:
    table = load_table(made)
    assert table.provenance is not None
    other = replace(table.provenance, reference_ms={name: 9.0} if name else {})
    with pytest.raises(NasError, match="no reference network of the table was measured now"):
        complete(replace(table, provenance=other), lower(ODD), rounds=FEW)


def test_missing_units_that_are_refused_are_lacking(made: Path) -> None:
    table = load_table(made)
    assert table.provenance is not None
    source = replace(table.provenance, backend="fake:noise=0,refuse=208x208")
    full = complete(replace(table, provenance=source), lower(ODD), rounds=FEW)
    assert len(full.lacks) == 1
    with pytest.raises(MissingEntry, match=r"208x208x3 .* \(fake refuses "):
        full.predict(ODD)


def test_what_to_do_with_missing_units_is_the_users_choice(path: Path) -> None:
    before = path.read_bytes()
    assert cover(path, lower(ODD)).predict(ODD).units[0].extrapolated
    with pytest.raises(MissingEntry, match="'my_cpu' was not measured for: conv 208x208x3"):
        cover(path, lower(ODD), on_missing="fail")
    with pytest.raises(UnknownName, match="did you mean measure"):
        cover(path, lower(ODD), on_missing="mesure")
    assert path.read_bytes() == before
    full = cover(path, lower(ODD), on_missing="measure")
    assert not any(part.extrapolated for part in full.predict(ODD).units)
    assert load_table(path) == full
    assert cover(path, lower(ODD), on_missing="fail") == full


def test_a_bundled_table_is_not_measured_into() -> None:
    with pytest.raises((BadFile, NasError), match="pixel1"):
        cover("pixel1", lower(ODD), on_missing="measure")


def test_a_table_that_was_not_measured_here_is_named(made: Path) -> None:
    pixel = load_table("pixel1")
    for call in (target_of, lambda table: complete(table, lower(V2))):
        with pytest.raises(NasError, match="pixel1 was not measured by nas latency measure"):
            call(pixel)
    without = replace(load_table(made), correction=None)
    with pytest.raises(NasError, match="my_cpu does not say how units are corrected"):
        complete(without, lower(ODD))
    assert target_of(load_table(made), cores=(0,)) == replace(EXACT, cores=(0,))


def test_int8_and_threads_are_kept(b0_plan: Plan, tmp_path: Path) -> None:
    few = replace(b0_plan, jobs=_some(b0_plan))
    target = Target(backend="fake:noise=0.01", threads=2, dtype="int8")
    table: LatencyTable = make_table(few, target, tmp_path / "t.json", rounds=FEW)
    assert (table.threads, table.dtype, table.runtime) == (2, "int8", "fake 1")
    assert load_table(tmp_path / "t.json") == table


def _some(plan: Plan) -> tuple:  # type: ignore[type-arg]
    """Return the references, the networks for the correction, and their units."""
    networks = plan.of(CORRECTION)[:10]
    keys = {unit.key for job in networks for unit in job.units}
    return (*plan.of(REFERENCE), *networks, *(job for job in plan.jobs if job.name in keys))


def test_an_unknown_backend_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match="did you mean fake"):
        Target(backend="fakes").create()


def test_the_duration_grows_with_rounds_jobs_and_what_opening_takes(
    b0_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.repeat(0.0)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    one = duration(b0_plan, EXACT, Rounds(most=10))
    assert duration(b0_plan, EXACT, Rounds(most=20)) == pytest.approx(2 * one)
    half = replace(b0_plan, jobs=b0_plan.jobs[: len(b0_plan.jobs) // 2])
    assert 0 < duration(half, EXACT, Rounds(most=10)) < one
    ticks = itertools.count()  # a second to open each reference
    assert duration(b0_plan, EXACT, Rounds(most=10)) > 2 * one


def test_a_table_is_validated_on_architectures(path: Path) -> None:
    archs = [load_architecture(f"ssdlite:{name}@96") for name in ("mobilenet_v2", "mnasnet_a1")]
    validation = validate_table(path, networks=2, archs=archs)[0].validation
    assert validation is not None
    assert set(validation.points) == {"ssdlite_mobilenet_v2", "ssdlite_mnasnet_a1"}


def test_a_validation_on_another_device_is_kept_apart(path: Path) -> None:
    own, _ = validate_table(path, networks=3)
    assert own.provenance
    assert own.validation
    write_table(replace(own, provenance=replace(own.provenance, cpu="Another CPU")), path)
    found, elsewhere = validate_table(path, networks=2)
    assert elsewhere.endswith(f", {own.runtime}")
    assert (found.validation, found.spread) == (own.validation, own.spread)
    assert list(found.elsewhere) == [elsewhere]
    assert len(found.elsewhere[elsewhere].points) < len(own.validation.points)
    assert load_table(path) == found


def test_a_table_is_not_validated_on_what_it_was_fitted_on(path: Path) -> None:
    known = load_table(path).provenance
    assert known is not None
    arch = next(
        arch
        for arch in map(load_architecture, RELATIVES)
        if arch.fingerprint in known.calibrated_on
    )
    with pytest.raises(NasError, match=r"was fitted on .*, which cannot validate it"):
        validate_table(path, networks=2, archs=[arch, load_architecture("mobilenet_v2")])
