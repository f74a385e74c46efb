"""Write a latency table for another project."""

from pathlib import Path

import click

from nas.cli._print import say
from nas.latency_file import load_table
from nas.measuring.foreign import export_table


@click.command("export")
@click.argument("table")
@click.option("--dialect", required=True, help="nas list dialects.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A .yaml or .json file, or a folder with a file for each resolution.",
)
def command(table: str, dialect: str, out: Path) -> None:
    """Write the measured units of TABLE as another project's table."""
    written = export_table(load_table(table), dialect, out)
    for text in written.left_out:
        say(f"left out: {text}")
    for path in written.paths:
        say(f"wrote {path}")
