"""Measure the networks that a search found."""

from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from nas.cli._data import as_word
from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli.latency import _options as options
from nas.core.errors import NasError
from nas.core.optional import optional
from nas.core.run_folder import SEARCH, TRAINING, kind_of
from nas.latency.measure.make import target_of
from nas.latency.measure.run import HERE, Target
from nas.latency.table import LatencyTable
from nas.searching.runs.check import check_run, spread_names, table_of_run
from nas.searching.runs.measured import store_measured


@click.command("check")
@click.argument("run", type=PATH)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many solutions."
)
@click.option("--table", help="The table to compare with. [default: the run's own]")
@options.target
@options.json_flag
def command(run: Path, top: int, table: str | None, target: Target, as_json: bool) -> None:
    """Measure solutions of RUN end to end on this machine, and compare with the prediction.

    They are spread over the front, from the fastest to the slowest. What is not given of --backend,
    --threads and --dtype is by default as the table was measured, if it was by this project.
    """
    if kind_of(run) is TRAINING:
        measure = f"nas latency measure --arch {as_word(run)} --out table.yaml"
        raise NasError(
            f"{run} is {TRAINING.text}, not {SEARCH.text}; see: nas status {as_word(run)}, "
            f"or measure the trained network: {measure}"
        )
    with options.measuring(kept=False) as report:
        names = spread_names(run, top)
        target = _as_measured(target, table_of_run(run, names[0], table=table))
        found = check_run(run, names, table=table, target=target, report=report)
    records = [one.record() for one in found]
    with optional("the measurements in the run folder", say):
        store_measured(run, records)
    if as_json:
        print_json({"schema": 1, "run": str(run), "networks": records})
        return
    options.say_checked(found, title=f"{run}, measured end to end")


def _as_measured(target: Target, table: LatencyTable) -> Target:
    """Return `target` with what was not given on the command line as `table` was measured."""
    if table.provenance is None or target.device != HERE:
        return target
    source, own = click.get_current_context().get_parameter_source, target_of(table)
    names = ("backend", "threads", "dtype")
    usual = [name for name in names if source(name) is ParameterSource.DEFAULT]
    return replace(target, **{name: getattr(own, name) for name in usual})
