"""Make, validate and complete tables: the steps behind the commands."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.errors import BadFile, NasError, unknown
from nas.core.progress import quiet
from nas.core.versions import code_version
from nas.latency.coverage import ON_MISSING
from nas.latency.file import load_table, write_table
from nas.latency.measure.plan import Plan, plan_check, plan_units, plan_validation
from nas.latency.measure.references import references_of
from nas.latency.measure.rounds import MeasuringReport, Rounds
from nas.latency.measure.run import DeviceAndCores, Target, measure_plan
from nas.latency.measure.samples import UNIT, read_samples
from nas.latency.measure.selection import operator_model, order_jobs
from nas.latency.measure.tabulate import entry_of, tabulate
from nas.latency.measure.validation import other_device, speed_of, validate
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.layers import Unit
from nas.space.file import load_space
from nas.space.space import Space

TWICE = Rounds(least=24, most=24)
"""Of networks to compare with: twelve repetitions or more for each of two measurements."""
_SAME_NETWORKS = "resume with the same `networks` and `space`"


def samples_path(table: Path) -> Path:
    """Return where the samples of a table at `table` are."""
    return table.with_suffix(".samples.jsonl")


def make_table(
    plan: Plan,
    target: Target,
    path: Path,
    *,
    rounds: Rounds,
    report: MeasuringReport = quiet,
    prior: LatencyTable | None = None,
) -> LatencyTable:
    """Measure `plan`, or resume that, and write the table at `path`.

    Where the rounds have too few `seconds` for all, they take the jobs that tell most, by the
    operator model of `prior` or roughly. `prior`: see `build_table`.

    Raises:
        NasError: see `measure_plan` and `tabulate`.
    """
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise NasError(f"{path}: a table's name ends in .yaml or .json")
    if rounds.seconds < inf and not rounds.order:
        rounds = replace(rounds, order=order_jobs(plan, model=operator_model(prior)))
    measure_plan(plan, target, samples_path(path), rounds=rounds, report=report)
    return build_table(samples_path(path), path, prior=prior)


def add_missing(
    plan: Plan, target: Target, path: Path, *, rounds: Rounds, report: MeasuringReport = quiet
) -> LatencyTable:
    """Measure those units of `plan` that the table at `path` lacks, and add them to it.

    They are measured as the table was; of `target` only the cores are used.

    Raises:
        NasError: if the table was not measured by this project.
    """
    units = [unit for job in plan.of(UNIT) for unit in job.units]
    table = complete(load_table(path), units, cores=target.cores, rounds=rounds, report=report)
    write_table(table, path, heading=table.heading)
    return table


def build_table(samples: Path, path: Path, *, prior: LatencyTable | None = None) -> LatencyTable:
    """Make a table of a file of samples, and write it at `path`.

    Its operator model stays near that of `prior`, a table of a similar device, as far as the
    samples allow.

    Raises:
        NasError: if the samples cannot be read or are too few.
    """
    table = tabulate(read_samples(samples), name=path.stem, version=code_version(), prior=prior)
    write_table(table, path, heading=table.heading)
    return table


def validate_table(
    path: Path,
    *,
    networks: int,
    space: str | None = None,
    archs: Sequence[Architecture] = (),
    where: DeviceAndCores | None = None,
    report: MeasuringReport = quiet,
) -> tuple[LatencyTable, str]:
    """Measure networks that the table at `path` was not fitted on, and store the validation in it.

    They are `archs`, or random ones of `space`, by default what the table was measured for, and the
    zoo. Return the table, and the name of the device where that is not the table's: then the
    validation is kept apart, as one of `LatencyTable.elsewhere`.

    Raises:
        NasError: if the table was not measured by this project, or of no space, or was fitted on
            one of `archs`.
    """
    if not path.is_file():
        raise BadFile(f"{path}: no such file; the result is stored in the table, so name its file")
    table = load_table(path)
    target = target_of(table) if where is None else where.of(target_of(table))
    source = table.provenance
    known = frozenset(source.calibrated_on) if source else frozenset()
    references = references_of(table)
    if fitted := [arch.name for arch in archs if arch.fingerprint in known]:
        raise NasError(
            f"latency table {table.name} was fitted on {', '.join(fitted)}, which cannot validate "
            "it; name other architectures"
        )
    plan = (
        plan_check(table.name, archs, references=references)
        if archs
        else plan_validation(
            _space(table, space), networks=networks, known=known, references=references
        )
    )
    scratch = path.with_suffix(".validation.jsonl")
    samples, _ = measure_plan(
        plan, target, scratch, rounds=TWICE, report=report, instead=_SAME_NETWORKS
    )
    validated = validate(table, plan, samples, date=samples.machine.date)
    write_table(validated, path, heading=validated.heading)
    with suppress(OSError):
        scratch.unlink()
    return validated, other_device(table, samples)


def _space(table: LatencyTable, name: str | None) -> Space:
    """Return the space called `name`, or the one that the table was measured for."""
    if name is not None:
        return load_space(name)
    wanted = table.provenance.space if table.provenance else ""
    try:
        return load_space(wanted)
    except NasError:
        raise NasError(
            f"latency table {table.name} was measured for {wanted!r}, which is no bundled space; "
            "name a space for the networks, as in `space=mbconv`, or some with `arch`"
        ) from None


def target_of(table: LatencyTable, *, cores: tuple[int, ...] | None = None) -> Target:
    """Return what a measured table was measured on.

    Raises:
        NasError: if the table was not measured here, so that nothing can be measured like it.
    """
    if table.provenance is None:
        raise NasError(
            f"latency table {table.name} was not measured by nas latency measure, so networks "
            "cannot be measured like its units"
        )
    return Target(
        backend=table.provenance.backend, threads=table.threads, dtype=table.dtype, cores=cores
    )


def complete(
    table: LatencyTable,
    units: Sequence[Unit],
    *,
    cores: tuple[int, ...] | None = None,
    rounds: Rounds | None = None,
    report: MeasuringReport = quiet,
) -> LatencyTable:
    """Return `table` with entries for those of `units` that it lacks, measured now.

    They are brought to the speed that the machine had when the table was measured.

    Raises:
        NasError: if the table was not measured by this project, or its backend is not here.
    """
    target = target_of(table, cores=cores)
    correction = table.correction
    if correction is None:
        raise NasError(f"latency table {table.name} does not say how units are corrected")
    lacking = {
        unit.key: unit
        for unit in units
        if unit.key not in table.entries and unit.key not in table.lacks
    }
    if not lacking:
        return table
    here = target.create().runtime
    if here != table.runtime:
        raise NasError(
            f"latency table {table.name} was measured with {table.runtime}, and this is {here}: "
            "install that version, or measure a new table"
        )
    if table.provenance and table.provenance.graph != target.graph:
        raise NasError(
            f"latency table {table.name} was measured with {table.dtype} graphs of another version "
            "than those that are timed now: measure a new table"
        )
    plan = plan_units(table.name, tuple(lacking.values()), references=references_of(table))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        samples, found = measure_plan(plan, target, path, rounds=rounds or Rounds(), report=report)
    lacks = {plan.jobs[job].name: text for job, text in samples.refused.items()}
    slower = speed_of(table, plan, found.reference_ms)
    new = {}
    for number, alone in found.jobs.items():
        (unit,) = plan.jobs[number].units
        new[unit.key] = entry_of(
            unit, alone, correction, fixed_ms=table.overhead_ms, speed=1 / slower
        )
    return replace(table, entries={**table.entries, **new}, lacks={**table.lacks, **lacks})


def cover(
    name: str | Path,
    units: Iterable[Unit],
    *,
    on_missing: str = "model",
    report: MeasuringReport = quiet,
) -> LatencyTable:
    """Return the table `name`, which then covers all of `units`.

    What was not measured is left to the operator model (`on_missing` is "model"), measured now and
    added to the table's file ("measure"), or refused ("fail").

    Raises:
        MissingEntry: if units are missing and may not be modelled; it names them.
        NasError: if `on_missing` is unknown, or the table is bundled.
    """
    table = load_table(name)
    lacking = tuple(unit for unit in units if unit.key not in table.entries)
    if not lacking or on_missing == "model":
        return table
    if on_missing == "fail":
        raise table.missing(lacking)
    if on_missing != "measure":
        raise unknown("way with missing units", on_missing, ON_MISSING)
    if not Path(name).is_file():
        raise BadFile(f"{name} is a bundled table; measure into a copy of its file")
    full = complete(table, lacking, report=report)
    write_table(full, Path(name), heading=full.heading)
    return full
