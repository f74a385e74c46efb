"""Export an architecture to another format."""

from dataclasses import replace
from pathlib import Path

import click

from nas.cli._int8 import next_in_int8
from nas.cli._options import JSON
from nas.cli._places import PATH
from nas.cli._print import print_json, say
from nas.cli._trained import WEIGHTS, find_trained
from nas.core.errors import NasError
from nas.core.storage import is_url, split_name
from nas.exporting.export import export, exporter_of, preprocessing_path
from nas.network.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from nas.pipeline.lineage import CARD, card_notes
from nas.searching.runs.folder import find_architecture

_FLOATS = ", as floats; nas quantize writes the int8 that it was trained for"


@click.command("export")
@click.argument("arch")
@click.option(
    "--format",
    "form",
    default="",
    help="One of nas list exporters, with options as in onnx:opset=18. [default: --out's suffix]",
)
@click.option(
    "--weights", help=f"The weights of ARCH: a training folder, a checkpoint, or {WEIGHTS}."
)
@click.option("--out", type=PATH, help="The file. [default: named after ARCH]")
@click.option(
    "--latency-table", default="", help="The table for the model card of hub. [default: the run's]"
)
@click.option("--opset", type=int, help="The version of ONNX's operators. [default: 17]")
@JSON
def command(  # noqa: PLR0913  # all of them are options of the user
    arch: str,
    form: str,
    weights: str | None,
    out: Path | None,
    latency_table: str,
    opset: int | None,
    as_json: bool,
) -> None:
    """Export ARCH: a bundled name, a YAML or JSON file, or RUN_DIR:best, RUN_DIR:3.

    A training folder, FOLDER:last or a .safetensors file is exported with its trained weights.
    """
    if weights:
        trained: Checkpoint | None = find_trained(arch, weights)
    else:
        trained = load_checkpoint(arch) if find_checkpoint(arch) else None
    network = trained.arch if trained else find_architecture(arch)
    notes = None
    if exporter_of(form, out).name == CARD:
        notes = card_notes(network, weights or arch, latency_table=latency_table)
        trained = trained and replace(trained, notes=notes)
    elif latency_table:
        raise NasError(f"`latency_table` is for the card of the format {CARD} alone")
    folder, solution = split_name(arch)
    if out is None and solution is not None:
        network = replace(network, name=f"{Path(folder).name}-{solution}")
    elif out is None and trained and Path(arch).is_dir():
        network = replace(network, name=Path(arch).resolve().name)
    path = export(network, out, form=form, trained=trained, opset=opset, notes=notes)
    if as_json:
        print_json({"schema": 1, "path": str(path), "fingerprint": network.fingerprint})
    else:
        source = weights or (arch if trained is None or is_url(arch) else str(trained.path))
        say(f"wrote {path}{_of(path, trained, source)}")
        if note := next_in_int8(arch):
            say(note)
        if trained and (beside := preprocessing_path(path)):
            say(f"wrote {beside}: how images become its input")


def _of(path: Path, trained: Checkpoint | None, source: str) -> str:
    """Return what to say of the weights in the exported file; `source` is what they come from."""
    graph = path.suffix in (".onnx", ".tflite")
    if trained is None:
        return " with random weights: for timing, not for accuracy" if graph else ""
    if not graph and not path.is_dir():
        return ", the architecture without its weights"
    return f" with the weights of {source}{_FLOATS if trained.ranges else ''}"
