"""Scale one network."""

from pathlib import Path
from typing import Any

import click

from nas.cli._data import as_word
from nas.cli._era import era
from nas.cli._options import JSON
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, say
from nas.cli.scale._tables import BATCH, facts, scale_table
from nas.core.errors import NasError
from nas.core.machine import machine_memory
from nas.exporting.export import export
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture, to_mapping
from nas.network.memory import gib, memory
from nas.report.table_notes import latency_remarks, notes
from nas.scaling.growth import Growth, grown
from nas.searching.runs.folder import find_architecture


@click.command("scale")
@click.argument("arch")
@click.option("--width", type=float, help="Multiplier of all channels.")
@click.option("--depth", type=float, help="Multiplier of the blocks in every stage, rounded up.")
@click.option(
    "--resolution", type=float, help="Side of the input in pixels; below 8, a multiplier."
)
@click.option("--phi", type=float, help="Scale all together: depth alpha^phi, width beta^phi, ...")
@click.option("--alpha", type=float, help="Growth of the depth with phi. [default: 1.2]")
@click.option("--beta", type=float, help="Growth of the width with phi. [default: 1.1]")
@click.option("--gamma", type=float, help="Growth of the resolution with phi. [default: 1.15]")
@click.option("--published", is_flag=True, help="EfficientNet-B0: the published B1 to B7 for PHI.")
@click.option("--multiple", type=int, help="Channels are multiples of this. [default: 8]")
@click.option("--out", type=PATH, help="A YAML or JSON file for the result.")
@click.option("--latency-table", help="A table to predict the latency with.")
@era()
@click.option(
    "--memory", "gigabytes", type=float, help="GiB of memory to fit into. [default: this machine's]"
)
@JSON
def network(
    arch: str,
    out: Path | None,
    latency_table: str | None,
    gigabytes: float | None,
    as_json: bool,
    **growth: Any,
) -> None:
    """Scale ARCH in channels, depth and resolution, each separately or together by --phi.

    ARCH is a bundled name, a YAML or JSON file, RUN_DIR:best or a training folder. Channels become
    multiples of 8, and rounding removes at most a tenth of them; the cost is printed before and
    after scaling.
    """
    base = find_architecture(arch)
    table = load_table(latency_table) if latency_table else None
    scaled = grown(base, Growth(**growth), limit=_limit(gigabytes))
    before, after = facts(base, table), facts(scaled, table)
    path = export(scaled, out) if out else None
    if as_json:
        document = {"path": str(path) if path else None, "architecture": to_mapping(scaled)}
        print_json({"schema": 1, "before": before, "after": after, **document})
        return
    print_table(scale_table(before, after))
    for line in _remarks(scaled, table):
        say(line)
    wrote = f"wrote {path}; next: nas train {as_word(path)} --data ..."
    say(wrote if path else "keep it: --out FILE.yaml")


def _limit(gigabytes: float | None) -> float:
    if gigabytes is None:
        return machine_memory()
    if not gigabytes > 0:
        raise NasError(f"--memory must be a number of GiB above 0, not {gigabytes:g}")
    return gigabytes * 2**30


def _remarks(scaled: Architecture, table: LatencyTable | None) -> list[str]:
    """Return remarks on the predicted latency, and on the memory of a training here."""
    said = []
    if table:
        said = [
            f"{table.name}: {note}"
            for note in (*latency_remarks(table.predict(scaled)), *notes(table))
        ]
    need = memory(scaled).training(BATCH)
    if need > machine_memory():
        said.append(
            f"a training with {BATCH} images at once takes about {gib(need)}, but only "
            f"{gib(machine_memory())} are available here: take a smaller --batch"
        )
    return said
