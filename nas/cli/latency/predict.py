"""Predict the latency of architectures."""

from dataclasses import replace

import click

from nas.cli._era import era
from nas.cli._print import print_json, print_table, say
from nas.cli.latency import _options as options
from nas.latency.coverage import ON_MISSING
from nas.latency.measure.make import cover
from nas.latency.table import Latency
from nas.network.lowering import lower
from nas.report.table_notes import facts, notes
from nas.report.tables import Table
from nas.searching.runs.folder import find_architecture


@click.command("predict")
@click.argument("archs", metavar="ARCH...", nargs=-1, required=True)
@click.option("--table", required=True, help="A bundled table or a YAML file.")
@era("table")
@click.option(
    "--on-missing",
    type=click.Choice(ON_MISSING),
    default="model",
    show_default=True,
    help="What to do about units that were not measured.",
)
@options.json_flag
def command(archs: tuple[str, ...], table: str, on_missing: str, as_json: bool) -> None:
    """Predict the latency of each ARCH, with its interval, and how much of it was measured."""
    networks = [replace(find_architecture(name), name=name) for name in archs]
    units = [unit for network in networks for unit in lower(network)]
    with options.measuring() as report:
        known = cover(table, units, on_missing=on_missing, report=report)
    found = [known.predict(network) for network in networks]
    if as_json:
        pairs = zip(networks, found, strict=True)
        records = [{"name": n.name, "fingerprint": n.fingerprint, **_record(x)} for n, x in pairs]
        print_json({"schema": 1, "table": facts(known), "networks": records})
        return
    rows = tuple(_row(n.name, x) for n, x in zip(networks, found, strict=True))
    headings = ("architecture", "latency ms", "interval", "extrapolated")
    print_table(Table(title=f"{known.name}: {known.device}", headings=headings, rows=rows))
    reasons = dict.fromkeys(reason for latency in found for reason in latency.outside)
    for note in (*(f"beyond the table's measurements: {r}" for r in reasons), *notes(known)):
        say(note)


def _row(name: str, latency: Latency) -> tuple[str, ...]:
    share = sum(unit.ms for unit in latency.units if unit.extrapolated) / latency.ms
    interval = f"{latency.low_ms:.2f} - {latency.high_ms:.2f}"
    return (name, f"{latency.ms:.2f}", interval, f"{100 * share:.0f} %" if share else "")


def _record(latency: Latency) -> dict[str, object]:
    return {
        "latency_ms": latency.ms,
        "latency_low_ms": latency.low_ms,
        "latency_high_ms": latency.high_ms,
        "extrapolated": [unit.key for unit in latency.units if unit.extrapolated],
        "outside": list(latency.outside),
    }
