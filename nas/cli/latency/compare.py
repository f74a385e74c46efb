"""Compare what two latency tables say of random networks."""

from pathlib import Path

import click

from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.cli.latency import _options as options
from nas.core.errors import NasError
from nas.core.optional import optional
from nas.latency.coverage import coverage, coverage_text
from nas.latency.file import load_table
from nas.latency.measure.agreement import (
    COUNTS,
    NETWORKS,
    Agreement,
    agreement,
    counted,
    latencies,
    sample,
)
from nas.latency.measure.estimates import Floats
from nas.space.file import load_space


@click.command("compare")
@click.argument("tables", metavar="TABLE [TABLE]", nargs=-1, required=True)
@click.option("--against", help=f"With one TABLE, what to compare it with: {' or '.join(COUNTS)}.")
@click.option("--space", default="mobilenetv3", show_default=True, help="Where networks are from.")
@click.option("--networks", type=int, default=NETWORKS, show_default=True, help="Random ones.")
@click.option("--plot", type=PATH, help="Draw both of every network into this file.")
@options.json_flag
def command(
    tables: tuple[str, ...],
    against: str | None,
    space: str,
    networks: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Tell how well one table, or a count, stands for another: ranks and scatter.

    Is pixel1 enough for my CPU, or are multiply-adds?
    """
    if len(tables) + (against is not None) != 2:
        raise NasError("name two tables, or one and --against macs")
    known = load_space(space)
    rows = sample(known, networks)
    found: list[tuple[str, Floats]] = []
    if against:
        found.append((against, counted(against, known, rows)))
    for name in tables:
        table = load_table(name)
        if text := coverage_text(coverage(table, known), table, known):
            say(text)
        found.append((table.name, latencies(table, known, rows)))
    (first, x), (second, y) = found
    result = agreement(x, y, names=(first, second), space=known.name)
    if as_json:
        print_json({"schema": 1, **result.record()})
    else:
        put(result.summary)
    if plot:
        with optional("the picture", say):
            _draw(result, x, y, plot)


def _draw(result: Agreement, x: Floats, y: Floats, path: Path) -> None:
    from nas.report.latency_plots import draw_agreement

    draw_agreement(result, x, y, [path])
    say(f"picture: {path}")
