"""Show a network as a table, block by block."""

from dataclasses import asdict
from typing import Any

import click

from nas.cli._era import era
from nas.cli._int8 import next_in_int8
from nas.cli._print import print_json, print_table, say
from nas.core.run_folder import SEARCH, kind_of
from nas.core.storage import Place, split_name
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.cost import cost, costs_by_unit
from nas.network.detector import plain_detector
from nas.network.footprint import peak_mb, size_mb
from nas.network.lowering import priors_of
from nas.report.table_notes import latency_remarks, notes
from nas.report.tables import ms_text, network_table
from nas.searching.config import SearchConfig
from nas.searching.runs.folder import dtype_of, find_architecture, table_name_of
from nas.searching.stored_table import TABLE, table_of


@click.command("show")
@click.argument("arch")
@click.option("--latency-table", help="A name or a path. [default: the run's, or pixel1]")
@era(default=SearchConfig().latency_table)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(arch: str, latency_table: str | None, as_json: bool) -> None:
    """Show ARCH block by block, with each block's fraction of the cost and of the latency.

    ARCH is a bundled name (also as in "mobilenet_v1@0.75-192"), a YAML or JSON file, or a solution
    of a run: RUN_DIR:best, RUN_DIR:3.
    """
    network = find_architecture(arch)
    table = load_table(latency_table) if latency_table else _of_run(arch)
    latency = table.predict(network)
    if as_json:
        units = {unit.name: {**asdict(unit)} for unit in latency.units}
        for name, unit_cost in costs_by_unit(network).items():
            units[name] |= asdict(unit_cost)
        print_json(
            {
                "schema": 1,
                "name": network.name,
                "fingerprint": network.fingerprint,
                **asdict(cost(network)),
                "size_mb": size_mb(network),
                "peak_mb": peak_mb(network),
                **({"dtype": dtype} if (dtype := dtype_of(arch)) else {}),
                "latency_ms": latency.ms,
                "latency_low_ms": latency.low_ms,
                "latency_high_ms": latency.high_ms,
                "outside": latency.outside,
                **_detector(network),
                "units": list(units.values()),
            }
        )
        return
    print_table(network_table(network, table))
    if network.detector:
        classes = network.detector.classes
        say(f"a detector of {classes:,} classes with {len(priors_of(network)):,} anchors or points")
    say(
        f"{table.name} ({table.device}, {table.runtime}): {ms_text(latency.ms)} ms, "
        f"{ms_text(latency.low_ms)} to {ms_text(latency.high_ms)}"
    )
    for note in (*latency_remarks(latency), *notes(table), next_in_int8(arch)):
        if note:
            say(note)


def _detector(network: Architecture) -> dict[str, Any]:
    """Return the facts of a detector, with the number of its anchors or points."""
    if network.detector is None:
        return {}
    found = plain_detector(network.detector)
    return {"detector": {**found, "predictions": len(priors_of(network))}}


def _of_run(arch: str) -> LatencyTable:
    """Return the latency table of the run that found a solution, by default the usual one."""
    folder, solution = split_name(arch)
    if solution is not None:
        with Place(folder).reading(SEARCH.mark, TABLE) as here:
            if kind_of(here) is SEARCH:
                return table_of(table_name_of(folder, solution), here)
    return load_table(SearchConfig().latency_table)
