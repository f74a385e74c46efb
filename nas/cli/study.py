"""Export a run as an Optuna study."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.searching.runs.study import to_study


@click.command("study")
@click.argument("run", type=PATH)
@click.option("--storage", help="A new journal file, or a database's URL. [default: RUN/study.log]")
@click.option("--name", help="The study's name; the run folder's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(run: Path, storage: str | None, name: str | None, as_json: bool) -> None:
    """Export the journal of RUN as an Optuna study, for optuna-dashboard and Optuna's plots."""
    where = storage or str(run / "study.log")
    count = to_study(run, where, name=name or run.resolve().name)
    if as_json:
        print_json({"schema": 1, "storage": where, "trials": count})
    else:
        say(f"wrote {count} trials; look at them: optuna-dashboard {where}")
