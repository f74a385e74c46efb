"""Quantize a trained network to int8."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._data import DATA
from nas.cli._options import COUNT, JSON, WHOLE, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, put, say
from nas.cli._progress import progress
from nas.core.data import to_json
from nas.core.errors import missing_package
from nas.core.extras import extra
from nas.core.files import write_folder
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.report.tables import Table

if TYPE_CHECKING:
    from nas.training.int8.quantize import Quantized

WAYS = ("auto", "minmax", "percentile", "mse", "kl")
GRAPH, FACTS, PICTURE = "model.onnx", "quantization.json", "sensitivity.png"


@click.command("quantize")
@click.argument("trained")
@click.option("--data", required=True, help=DATA)
@click.option("--out", required=True, type=PATH, help="The folder to write.")
@option("--images", 128, "Training images that calibrate the ranges of values.", COUNT)
@option(
    "--calibration", "auto", "How ranges are chosen; auto takes the nearest.", click.Choice(WAYS)
)
@option("--max-drop", 1.0, "Layers stay in float until the metric falls by this at most.", float)
@option("--rounds", 50, "How often both graphs are timed on this machine.", COUNT)
@option("--seed", 0, "Seed of the choice of images.", WHOLE)
@JSON
def command(trained: str, data: str, out: Path, rounds: int, as_json: bool, **how: Any) -> None:
    """Quantize TRAINED, a training folder or a checkpoint, to int8 for onnxruntime.

    Ranges come from training images, weights have a scale for each output channel. Says the metric
    and the latency of both graphs, as onnxruntime runs them here. A --max-drop of 0.01 is a point.
    """
    try:
        from nas.training.data import load_data
        from nas.training.int8.quantize import Settings, finished, quantize
        from nas.training.int8.timing import milliseconds
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas quantize") from None
    found, settings = load_checkpoint(trained), Settings(**how)
    images = load_data(data)
    with progress("quantizing", "steps") as update:
        quantized = quantize(found, images, settings, report=update)
    side = found.arch.resolution
    shape = (found.arch.input_channels, side, side)
    times = milliseconds((quantized.float_model, quantized.model), shape, rounds=rounds)
    document = _document(quantized, times, trained, data)
    model = finished(found, quantized)
    files = {GRAPH: model.SerializeToString(), FACTS: to_json(document).encode()}
    write_folder(out, files)
    if as_json:
        print_json(document)
    else:
        _print(quantized, times, found)
    say(f"wrote {out / GRAPH}, {len(files[GRAPH]) / 1e6:.2f} MB")
    with extra("the picture", say):
        from nas.report.int8_plots import draw_sensitivity

        title = f"{found.arch.name or trained}: sensitivity to int8, layer by layer"
        draw_sensitivity(quantized.noise, quantized.floats, [out / PICTURE], title=title)
        say(f"picture: {out / PICTURE}")


def _document(
    found: "Quantized", times: tuple[float, ...], trained: str, data: str
) -> dict[str, Any]:
    return {
        "schema": 1,
        "trained": trained,
        "data": data,
        "metric": found.metric,
        "float": {found.metric: found.before, "latency_ms": times[0]},
        "int8": {found.metric: found.after, "latency_ms": times[1]},
        "calibration": found.calibration,
        "images": found.images,
        "floats": list(found.floats),
        "noise": dict(found.noise),
    }


def _print(found: "Quantized", times: tuple[float, ...], network: Checkpoint) -> None:
    rows = (
        ("float", f"{100 * found.before:.2f}", f"{times[0]:.2f}"),
        ("int8", f"{100 * found.after:.2f}", f"{times[1]:.2f}"),
        ("change", f"{100 * (found.after - found.before):+.2f}", f"{times[1] / times[0] - 1:+.0%}"),
    )
    headings = ("", f"{found.metric} %", "ms, one thread, here")
    print_table(Table(title=network.arch.name or "quantized", headings=headings, rows=rows))
    kept = f", {len(found.floats)} in float" if found.floats else ""
    put(f"{len(found.noise)} layers{kept}; ranges by {found.calibration} of {found.images} images")
