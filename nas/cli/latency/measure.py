"""Measure a latency table on this machine."""

from dataclasses import replace
from pathlib import Path

import click

from nas.cli._data import as_word
from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli.latency import _options as options
from nas.core.errors import NasError
from nas.core.optional import optional
from nas.latency.file import load_table
from nas.latency.measure.make import add_missing, make_table, samples_path
from nas.latency.measure.plan import VALIDATION_NETWORKS
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target
from nas.latency.measure.selection import operator_model, reduce_plan
from nas.latency.table import LatencyTable
from nas.report.table_notes import facts, width_note


@click.command("measure")
@options.what(networks=VALIDATION_NETWORKS)
@click.option("--out", type=PATH, required=True, help="The table's file.")
@options.target
@options.rounds
@click.option("--units", type=int, help="Measure only so many units, those that tell most.")
@click.option("--prior", help="A table of a similar device, whose operator model is begun with.")
@click.option("--only-missing", is_flag=True, help="Add to the table at --out what it lacks.")
@options.json_flag
def command(  # noqa: PLR0913  # a parameter for every option
    asked: options.ModelSelection,
    out: Path,
    target: Target,
    rounds: Rounds,
    units: int | None,
    prior: str | None,
    only_missing: bool,
    as_json: bool,
) -> None:
    """Measure the units of a space, some architectures or a front, and make a table of them.

    Samples are written beside the table at once; the same command resumes after a kill. The table
    of a space is validated on networks that it is not fitted on, in the same rounds.
    """
    before = load_table(prior) if prior else None
    if only_missing and (units or before):
        raise NasError("`only_missing` measures all that a table lacks; leave `units` and `prior`")
    plan = (replace(asked, networks=0) if only_missing else asked).plan()
    if units is not None:
        plan = reduce_plan(plan, units, model=operator_model(before))
    with options.measuring() as report:
        if only_missing:
            table = add_missing(plan, target, out, rounds=rounds, report=report)
        else:
            table = make_table(plan, target, out, rounds=rounds, report=report, prior=before)
    if as_json:
        print_json({"schema": 1, "path": str(out), **facts(table)})
    else:
        with optional("the summary", say):
            _say(table, out, asked.space)


def _say(table: LatencyTable, out: Path, space: str | None) -> None:
    say(f"{out}: {len(table.entries)} units on {table.heading}")
    if len(table.weak) > 1:
        say(f"{table.weak[0]}, those that tell most; the same command measures more")
    for key, text in table.lacks.items():
        say(f"not measured: {key}: {text}")
    said = table.validation.summary if table.validation else "not validated"
    say(said)
    say(width_note(table))
    if table.provenance:
        options.say_noise(table.provenance.noise)
    if samples_path(out).exists():
        say(f"samples: {samples_path(out)}")
    check = f"nas latency validate --table {as_word(out)}"
    if space is None:
        say(f"next: {check}")
    else:
        say(f"next: {check} --space {as_word(space)}, or")
        say(f"nas search --space {as_word(space)} --latency-table {as_word(out)}")
