"""Export a run as an Optuna study."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.searching.runs.study import to_study

SAMPLE = 1000
"""The most trials that a dashboard shows without delay."""


@click.command("study")
@click.argument("run", type=PATH)
@click.option("--storage", help="A new journal file, or a database's URL. [default: RUN/study.log]")
@click.option("--name", help="The name of the study. [default: the run folder's]")
@click.option("--all", "everything", is_flag=True, help="Export all trials, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    run: Path, storage: str | None, name: str | None, everything: bool, as_json: bool
) -> None:
    """Export the journal of RUN as an Optuna study, for optuna-dashboard and Optuna's plots.

    If there are more than 1,000 trials, the front and a sample of 1,000 are exported.
    """
    where = storage or str(run / "study.log")
    most = 0 if everything else SAMPLE
    count = to_study(run, where, name=name or run.resolve().name, most=most)
    if as_json:
        print_json({"schema": 1, "storage": where, "trials": count})
    else:
        kept = (
            "" if everything or count <= SAMPLE else ", the front and a sample (--all: every one)"
        )
        say(f"wrote {count:,} trials{kept}; look at them: optuna-dashboard {where}")
