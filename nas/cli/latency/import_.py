"""Read the latency tables of other projects."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli.latency import _options as options
from nas.latency.file import write_table
from nas.latency.measure.foreign import import_table
from nas.report.table_notes import facts


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--dialect", required=True, help="nas list dialects.")
@click.option("--device", default="", help="What it was measured on. [default: the file's name]")
@click.option("--threads", type=click.IntRange(min=1), default=1, help="As it was measured.")
@click.option(
    "--fit-model", is_flag=True, help="Fit an operator model, which predicts all other units."
)
@click.option("--out", type=PATH, required=True, help="The table's file.")
@options.json_flag
def command(  # noqa: PLR0913  # a parameter for every option
    files: tuple[str, ...],
    dialect: str,
    device: str,
    threads: int,
    fit_model: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Make a table from the FILEs of another project; several resolutions become one table."""
    table, notes = import_table(
        dialect, files, device=device, threads=threads, name=out.stem, model=fit_model
    )
    write_table(table, out, heading=table.heading)
    if as_json:
        print_json({"schema": 1, "path": str(out), **facts(table), "notes": list(notes)})
        return
    for note in notes:
        say(note)
    other = table.weak[-1] if table.model else "no operator model: other units are refused"
    say(f"{out}: {len(table.entries)} units, {other}")
