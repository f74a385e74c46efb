"""Validate a latency table on networks that it was not fitted on."""

from dataclasses import replace
from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.cli.latency import _options as options
from nas.core.optional import optional
from nas.latency.measure.make import validate_table
from nas.latency.measure.run import DeviceAndCores
from nas.latency.table import LatencyTable
from nas.report.table_notes import facts, other_graphs, speed_note
from nas.searching.runs.folder import find_architecture


@click.command("validate")
@click.option("--table", required=True, type=PATH, help="The table's file.")
@click.option(
    "--networks", type=click.IntRange(min=2), default=50, show_default=True, help="Random ones."
)
@click.option("--arch", multiple=True, help="Instead of those, an architecture; may be repeated.")
@click.option("--space", help="Where they come from. [default: what the table was measured for]")
@options.where
@click.option("--plot/--no-plot", default=True, help="Draw predicted against measured.")
@options.json_flag
def command(  # noqa: PLR0913  # a parameter for every option
    table: Path,
    networks: int,
    arch: tuple[str, ...],
    space: str | None,
    where: DeviceAndCores,
    plot: bool,
    as_json: bool,
) -> None:
    """Measure random networks and the zoo end to end, and compare with what TABLE predicts.

    Every network is measured twice, which gives the noise floor. The result is stored in the
    table and shown wherever it is used; that of another device is stored apart.
    """
    with options.measuring() as report:
        validated, elsewhere = validate_table(
            table,
            networks=networks,
            space=space,
            archs=[find_architecture(name) for name in arch],
            where=where,
            report=report,
        )
    if elsewhere:  # what follows is about that device
        validated = replace(validated, validation=validated.elsewhere[elsewhere])
    validation = validated.validation
    if as_json:
        found = facts(validated)["validation"]
        print_json({"schema": 1, "table": str(table), "elsewhere": elsewhere or None, **found})
    elif validation:
        with optional("the summary", say):
            put(validation.summary)
            if elsewhere:
                say(_elsewhere(validated, elsewhere))
            say(speed_note(validation) or "the machine was as fast as when the table was measured")
            if note := other_graphs(validated):
                say(f"the table was {note}")
    if plot:
        with optional("the picture", say):
            end = "_elsewhere.png" if elsewhere else ".png"
            _draw(validated, table.with_name(f"{table.stem}{end}"))


def _elsewhere(table: LatencyTable, device: str) -> str:
    return (
        f"measured on another device ({device}) than the table ({table.device}, {table.runtime}): "
        "stored apart; the table's own validation and intervals are as before"
    )


def _draw(table: LatencyTable, picture: Path) -> None:
    from nas.report.latency_plots import draw_validation

    draw_validation(table, [picture])
    say(f"picture: {picture}")
