"""Write a network of a supernet, with its part of the weights, as a trained network."""

from pathlib import Path
from typing import Any

import click

from nas.cli._data import as_word
from nas.cli._options import DEVICE, JSON
from nas.cli._places import PATH
from nas.cli._print import print_json, put, say
from nas.cli._trained import how_found
from nas.cli.supernet._scorer import CALIBRATED, ON_DATA, scorer
from nas.core.errors import NasError
from nas.network.checkpoint import SUFFIX
from nas.searching.runs.folder import find_architecture


@click.command("extract")
@click.argument("supernet")
@click.option("--arch", required=True, help="A network of its space.")
@click.option("--out", required=True, type=PATH, help=f"The checkpoint, a {SUFFIX} file.")
@ON_DATA
@CALIBRATED
@DEVICE
@JSON
def command(
    supernet: str, arch: str, out: Path, data: str | None, as_json: bool, **how: Any
) -> None:
    """Write a network of SUPERNET, without any training, for nas eval, export, quantize and train.

    The statistics of its normalisation are measured on training images.
    """
    if out.suffix != SUFFIX:
        raise NasError(f"--out must end in {SUFFIX}, not {out}")
    of = scorer(supernet, data, **how)
    found = of.checkpoint(find_architecture(arch))

    from nas.supernet.extract import save_checkpoint  # torch, which the scorer has imported

    lineage = how_found(arch)
    save_checkpoint(out, found, supernet=of.supernet.space.name, lineage=lineage)
    if as_json:
        print_json({"schema": 1, "out": str(out), "top1": found.top1})
        return
    put(f"top1 {found.top1:.4f} on the validation images")
    say(f"the network is in {out}; next:")
    say(f"nas export {as_word(out)} --format onnx, or nas train {as_word(out)} --data DATA")
