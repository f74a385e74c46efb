"""Compare what a search's table predicted with what its networks take on this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.progress import quiet
from nas.latency.file import load_table
from nas.latency.measure.compare import LatencyCheck, compare
from nas.latency.measure.make import TWICE, target_of
from nas.latency.measure.plan import plan_check
from nas.latency.measure.references import references_of
from nas.latency.measure.rounds import MeasuringReport
from nas.latency.measure.run import Target, measure_plan
from nas.latency.table import LatencyTable
from nas.searching.runs.folder import dtype_of, find_architecture, front_names, table_name_of
from nas.searching.stored_table import table_of


def spread_names(run: Path, top: int) -> tuple[str, ...]:
    """Return the names of `top` solutions of a run, spread from the fastest to the slowest.

    Raises:
        NasError: if there is no front.
    """
    names = front_names(run)
    chosen = sorted({round(i * (len(names) - 1) / max(top - 1, 1)) for i in range(top)})
    return tuple(names[i] for i in chosen)


def table_of_run(run: Path, name: str, *, table: str | None = None) -> LatencyTable:
    """Return `table`, by default the one that predicted the solution `name` of a run."""
    return load_table(table) if table else table_of(table_name_of(run, name), run)


def check_run(
    run: Path,
    names: Iterable[str],
    *,
    table: str | None = None,
    target: Target | None = None,
    report: MeasuringReport = quiet,
) -> tuple[LatencyCheck, ...]:
    """Measure solutions of a run end to end, by their `names`; `target` is by default the table's.

    Solutions of a search with dtypes are measured in theirs, and compared with its table.

    Where the table was measured by this project, times are given for the speed of the machine at
    that time, otherwise as measured now.

    Raises:
        NasError: if there are no such solutions, or nothing can be measured.
    """
    asked = tuple(names)
    dtypes = {name: dtype_of(f"{run}:{name}") for name in asked}
    found: dict[str, LatencyCheck] = {}
    for dtype in dict.fromkeys(dtypes.values()):
        own = [name for name in asked if dtypes[name] == dtype]
        known = table_of_run(run, own[0], table=table)
        place = replace(target, dtype=dtype) if target and dtype else target
        found |= {one.name: one for one in _in_one(run, own, known, place, report)}
    return tuple(found[name] for name in asked if name in found)


def _in_one(
    run: Path,
    names: Sequence[str],
    known: LatencyTable,
    target: Target | None,
    report: MeasuringReport,
) -> tuple[LatencyCheck, ...]:
    """Measure solutions in one dtype."""
    archs = [replace(find_architecture(f"{run}:{name}"), name=name) for name in names]
    target = target or target_of(known)
    plan = plan_check(run.name, archs, references=references_of(known))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        samples, _ = measure_plan(plan, target, path, rounds=TWICE, report=report)
    return compare(known, plan, archs, samples, target)
