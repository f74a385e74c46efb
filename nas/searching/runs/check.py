"""Compare what a search's table predicted with what its networks take on this machine."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.progress import quiet
from nas.latency.file import load_table
from nas.latency.measure.compare import Checked, compare
from nas.latency.measure.make import TWICE
from nas.latency.measure.plan import plan_check
from nas.latency.measure.rounds import MeasuringReport
from nas.latency.measure.run import Target, measure_plan
from nas.searching.config import read_config
from nas.searching.runs.folder import CONFIG, find_architecture, front_names


def check_run(
    run: Path, *, top: int, table: str | None, target: Target, report: MeasuringReport = quiet
) -> tuple[Checked, ...]:
    """Measure `top` solutions of a run end to end, spread from the fastest to the slowest.

    Where the table was measured by this project, times are given for the speed of the machine at
    that time, otherwise as measured now.

    Raises:
        NasError: if there is no front, or nothing can be measured.
    """
    names = front_names(run)
    chosen = sorted({round(i * (len(names) - 1) / max(top - 1, 1)) for i in range(top)})
    archs = [replace(find_architecture(f"{run}:{names[i]}"), name=names[i]) for i in chosen]
    config = read_config(run / CONFIG)
    known = load_table(table or config.latency_table)
    plan = plan_check(run.name, archs)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        samples, _ = measure_plan(plan, target, path, rounds=TWICE, report=report)
    return compare(known, plan, archs, samples, target)
