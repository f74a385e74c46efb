"""Score networks with the weights of a supernet."""

from typing import Any

import click

from nas.cli._options import DEVICE, JSON
from nas.cli._print import print_json, print_table, say
from nas.cli.supernet._scorer import CALIBRATED, ON_DATA, scorer
from nas.network.cost import cost
from nas.report.tables import Table
from nas.searching.runs.folder import find_architecture


@click.command("eval")
@click.argument("supernet")
@click.option(
    "--arch", "archs", multiple=True, required=True, help="A network of its space; repeatable."
)
@ON_DATA
@CALIBRATED
@click.option(
    "--probe",
    is_flag=True,
    help="Fit a linear classifier for the classes of the data on the same images.",
)
@DEVICE
@JSON
def command(
    supernet: str, archs: tuple[str, ...], data: str | None, as_json: bool, **how: Any
) -> None:
    """Score networks of SUPERNET, a folder or ofa:PATH, on the validation images.

    A network is named as elsewhere: a bundled name, a YAML file, RUN_DIR:best.
    """
    of = scorer(supernet, data, **how)
    networks = [of.supernet.subnet_arch(find_architecture(text)) for text in archs]
    found = [
        {"arch": text, "top1": of.top1(arch), "macs": cost(arch).macs, "params": cost(arch).params}
        for text, arch in zip(archs, networks, strict=True)
    ]
    if as_json:
        print_json({"schema": 1, "supernet": supernet, "networks": found})
        return
    rows = tuple(
        (str(one["arch"]), f"{one['top1']:.4f}", f"{one['macs']:,}", f"{one['params']:,}")
        for one in found
    )
    print_table(Table(title=supernet, headings=("network", "top1", "macs", "params"), rows=rows))
    say(f"top1 with shared weights, on {len(of.data.val):,} validation images of {of.data.name}")
