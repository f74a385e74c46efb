"""Measure the networks that a search found."""

from pathlib import Path

import click

from nas.cli._data import as_word
from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli.latency import _options as options
from nas.core.errors import NasError
from nas.core.optional import optional
from nas.core.run_folder import SEARCH, TRAINING, kind_of
from nas.latency.measure.run import Target
from nas.searching.runs.check import check_run, spread_names
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

    They are spread over the front, from the fastest to the slowest.
    """
    if kind_of(run) is TRAINING:
        measure = f"nas latency measure --arch {as_word(run)} --out table.yaml"
        raise NasError(
            f"{run} is {TRAINING.text}, not {SEARCH.text}; see: nas status {as_word(run)}, "
            f"or measure the trained network: {measure}"
        )
    with options.measuring(kept=False) as report:
        names = spread_names(run, top)
        found = check_run(run, names, table=table, target=target, report=report)
    records = [one.record() for one in found]
    with optional("the measurements in the run folder", say):
        store_measured(run, records)
    if as_json:
        print_json({"schema": 1, "run": str(run), "networks": records})
        return
    options.say_checked(found, title=f"{run}, measured end to end")
