"""Make a latency table from samples that were measured elsewhere."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.cli.latency import _options as options
from nas.core.optional import optional
from nas.latency.measure.make import build_table
from nas.report.table_notes import facts, width_note


@click.command("build")
@click.argument("samples", type=PATH)
@click.option("--out", type=PATH, required=True, help="The table's file.")
@options.json_flag
def command(samples: Path, out: Path, as_json: bool) -> None:
    """Make a table from SAMPLES, what a bundle or an earlier measurement left."""
    table = build_table(samples, out)
    if as_json:
        print_json({"schema": 1, "path": str(out), **facts(table)})
        return
    with optional("the summary", say):
        say(f"{out}: {len(table.entries)} units on {table.heading}")
        say(width_note(table))
        if table.provenance:
            options.say_noise(table.provenance.noise)
        if table.validation:
            put(table.validation.summary)
