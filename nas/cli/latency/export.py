"""Write a latency table for another project."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli.latency import _options as options
from nas.latency.file import load_table
from nas.latency.measure.foreign import export_table


@click.command("export")
@click.argument("table")
@click.option("--dialect", required=True, help="nas list dialects.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="A .yaml or .json file, or a folder with a file for each resolution.",
)
@options.json_flag
def command(table: str, dialect: str, out: Path, as_json: bool) -> None:
    """Write the measured units of TABLE as another project's table."""
    written = export_table(load_table(table), dialect, out)
    if as_json:
        paths = [str(path) for path in written.paths]
        left_out = list(written.left_out)
        print_json({"schema": 1, "path": str(out), "paths": paths, "left_out": left_out})
        return
    for text in written.left_out:
        say(f"left out: {text}")
    for path in written.paths:
        say(f"wrote {path}")
