"""Compare what a search's table predicted with what its networks take on this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.progress import quiet
from nas.latency.file import load_table
from nas.latency.measure.compare import Checked, compare
from nas.latency.measure.make import TWICE, target_of
from nas.latency.measure.plan import plan_check
from nas.latency.measure.references import references_of
from nas.latency.measure.rounds import MeasuringReport
from nas.latency.measure.run import Target, measure_plan
from nas.latency.table import LatencyTable
from nas.searching.kept_table import table_of
from nas.searching.runs.folder import find_architecture, front_names, judged_by


def spread_names(run: Path, top: int) -> tuple[str, ...]:
    """Return the names of `top` solutions of a run, spread from the fastest to the slowest.

    Raises:
        NasError: if there is no front.
    """
    names = front_names(run)
    chosen = sorted({round(i * (len(names) - 1) / max(top - 1, 1)) for i in range(top)})
    return tuple(names[i] for i in chosen)


def check_run(
    run: Path,
    names: Iterable[str],
    *,
    table: str | None = None,
    target: Target | None = None,
    report: MeasuringReport = quiet,
) -> tuple[Checked, ...]:
    """Measure solutions of a run end to end, by their `names`; `target` is by default the table's.

    A run in fp32 and int8 has a table for each.

    Where the table was measured by this project, times are given for the speed of the machine at
    that time, otherwise as measured now.

    Raises:
        NasError: if there are no such solutions, or nothing can be measured.
    """
    asked = tuple(names)
    tables = {name: table or judged_by(run, name) for name in asked}
    found: dict[str, Checked] = {}
    for each in dict.fromkeys(tables.values()):
        known = load_table(each) if table else table_of(each, run)
        own = [name for name in asked if tables[name] == each]
        found |= {one.name: one for one in _by_table(run, own, known, target, report)}
    return tuple(found[name] for name in asked if name in found)


def _by_table(
    run: Path,
    names: Sequence[str],
    known: LatencyTable,
    target: Target | None,
    report: MeasuringReport,
) -> tuple[Checked, ...]:
    """Measure solutions that were judged by one table."""
    archs = [replace(find_architecture(f"{run}:{name}"), name=name) for name in names]
    target = target or target_of(known)
    plan = plan_check(run.name, archs, references=references_of(known))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        samples, _ = measure_plan(plan, target, path, rounds=TWICE, report=report)
    return compare(known, plan, archs, samples, target)
