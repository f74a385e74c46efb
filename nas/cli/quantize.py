"""Quantize a trained network to int8."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli._data import DATA
from nas.cli._options import COUNT, JSON, WHOLE, option
from nas.cli._places import PATH
from nas.cli._print import print_json, print_table, put, say
from nas.cli._progress import progress
from nas.core.data import read_mapping, to_json
from nas.core.doctor import instruction_sets
from nas.core.errors import NasError, missing_package
from nas.core.exact_int8 import overflows
from nas.core.files import write_folder
from nas.core.optional import optional
from nas.exporting.int8.ranges import SIGN, IOTypes
from nas.exporting.walk import INPUT, OUTPUT
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.report.tables import Table

if TYPE_CHECKING:
    from nas.training.int8.quantize import Quantized

METHODS = ("auto", "minmax", "average", "percentile", "mse", "kl")
FACTS, PICTURE = "quantization.json", "sensitivity.png"
_BYTES = 1e6
_OVERFLOWS = (
    "this processor has no VNNI: give sessions of onnxruntime the option "
    "session.x64quantprecision=1, without which sums overflow (docs/int8.md)"
)


@click.command("quantize")
@click.argument("trained")
@click.option("--data", required=True, help=DATA)
@click.option("--out", required=True, type=PATH, help="The folder to write.")
@option("--backend", "onnxruntime", "What is to run it.", click.Choice(["onnxruntime", "litert"]))
@option("--images", 128, "Training images that calibrate the ranges of values.", COUNT)
@option(
    "--calibration", "auto", "How ranges are chosen; auto takes the nearest.", click.Choice(METHODS)
)
@option(
    "--max-drop", 1.0, "Layers stay in float until the metric falls by this at most.",
    click.FloatRange(0, 1),
)  # fmt: skip
@option("--input", "float", "What the graph takes.", click.Choice(["float", "int8"]))
@option("--output", "float", "What it gives; boxes stay float.", click.Choice(["float", "int8"]))
@option("--rounds", 50, "How often both graphs are timed on this machine.", COUNT)
@option("--seed", 0, "Seed of the choice of images.", WHOLE)
@JSON
def command(
    trained: str, data: str, out: Path, backend: str, rounds: int, as_json: bool, **flags: Any
) -> None:
    """Quantize TRAINED, a training folder or a checkpoint, to int8 for onnxruntime or LiteRT.

    Ranges come from training images, weights have a scale for each output channel. Says the metric
    and the latency of both graphs, as the runtime has them here. A --max-drop of 0.01 is a point.
    """
    io_types, how = _ends(**flags)
    try:
        from nas.training.data import load_data
        from nas.training.int8.choice import QuantizationSettings

        quantize, make = _for_litert() if backend == "litert" else _for_onnxruntime()
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="nas quantize") from None
    _refuse_graphs(trained)
    found, settings = load_checkpoint(trained), QuantizationSettings(**how)
    if io_types.output and found.arch.detector:
        raise NasError("--output int8 is for classifiers: a detector's graph ends in boxes")
    images = load_data(data)
    with progress("quantizing", "steps") as update:
        quantized = quantize(found, images, settings, report=update)
    times, files = make(found, quantized, io_types, rounds)
    document = _document(quantized, times)
    about = {"trained": trained, "data": data, "backend": backend}
    document = {"schema": 1, **about, **document, **_bytes(quantized, io_types, backend)}
    write_folder(out, {**files, FACTS: to_json(document).encode()})
    if as_json:
        print_json(document)
    else:
        _print(quantized, times, found)
    name, content = next(iter(files.items()))
    say(f"wrote {out / name}, {len(content) / _BYTES:.2f} MB")
    if backend == "onnxruntime" and overflows(instruction_sets()):
        say(_OVERFLOWS)
    with optional("the picture", say):
        from nas.report.int8_plots import draw_sensitivity

        title = f"{found.arch.name or trained}: sensitivity to int8, layer by layer"
        draw_sensitivity(quantized.noise, quantized.floats, [out / PICTURE], title=title)
        say(f"picture: {out / PICTURE}")


_Made = tuple[tuple[float, ...], Mapping[str, bytes]]
"""The milliseconds of the float and the int8 graph, and the files to write."""
_Steps = tuple[Callable[..., "Quantized"], Callable[..., _Made]]
"""What quantizes for a runtime, and what makes the files."""


def _refuse_graphs(trained: str) -> None:
    """Refuse what is quantized already, and other graphs."""
    path = Path(trained)
    if (path / FACTS).is_file():
        made_of = read_mapping(path / FACTS).get("trained")
        raise NasError(f"{path} is quantized already; give what it was made of: {made_of}")
    if path.suffix in (".onnx", ".tflite"):
        raise NasError(
            f"{path} is a graph, quantized already or finished in float; give the training folder "
            "or the checkpoint that it was made of"
        )


def _ends(
    *, input: str, output: str, **others: Any
) -> tuple[IOTypes, dict[str, Any]]:  # it is a flag
    """Return what the graph begins and ends with, and the other flags."""
    return IOTypes(input=input == "int8", output=output == "int8"), others


def _bytes(found: "Quantized", io_types: IOTypes, backend: str) -> dict[str, Any]:
    """Return how bytes at the ends of the graph become numbers: scale * (byte - zero)."""
    signed = backend == "litert"
    named = {INPUT: io_types.input, OUTPUT: io_types.output}
    return {
        name: {
            "dtype": "int8" if signed else "uint8",
            "scale": found.grids[name].scale,
            "zero": found.grids[name].zero_point - (SIGN if signed else 0),
        }
        for name, wanted in named.items()
        if wanted
    }


def _for_onnxruntime() -> _Steps:
    from nas.training.int8.quantize import finished, quantize
    from nas.training.int8.timing import milliseconds

    def made(found: Checkpoint, quantized: "Quantized", io_types: IOTypes, rounds: int) -> _Made:
        graphs = quantized.float_model, quantized.model
        times = milliseconds(graphs, _shape(found), rounds=rounds)
        return times, {"model.onnx": finished(quantized, io_types).SerializeToString()}

    return quantize, made


def _for_litert() -> _Steps:
    try:
        from nas.training.int8 import litert
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="quantizing for LiteRT") from None
    from nas.exporting.export import preprocessing

    def made(found: Checkpoint, quantized: "Quantized", io_types: IOTypes, rounds: int) -> _Made:
        graphs = litert.to_int8(found, quantized)
        times = litert.milliseconds(graphs, _shape(found), rounds=rounds)
        facts = to_json(preprocessing(found.arch, found.metadata)).encode()
        content = litert.finished(quantized, io_types)
        return times, {"model.tflite": content, "model.tflite.json": facts}

    return litert.quantize_for_litert, made


def _shape(found: Checkpoint) -> tuple[int, int, int]:
    return found.arch.input_channels, found.arch.resolution, found.arch.resolution


def _document(found: "Quantized", times: tuple[float, ...]) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "float": {found.metric: found.before, "latency_ms": times[0]},
        "int8": {found.metric: found.after, "latency_ms": times[1]},
        "calibration": found.calibration,
        "images": found.images,
        "equalised": found.equalised,
        "corrected": bool(found.means),
        "floats": list(found.floats),
        "noise": dict(found.noise),
    }


def _print(
    found: "Quantized",
    times: tuple[float, ...],
    network: Checkpoint,
) -> None:
    before, after = found.before, found.after
    rows = (
        ("float", f"{100 * before:.2f}", f"{times[0]:.2f}"),
        ("int8", f"{100 * after:.2f}", f"{times[1]:.2f}"),
        ("change", f"{100 * (after - before):+.2f}", f"{times[1] / times[0] - 1:+.0%}"),
    )
    headings = ("", f"{found.metric} %", "ms, one thread, here")
    print_table(Table(title=network.arch.name or "quantized", headings=headings, rows=rows))
    kept = f", {len(found.floats)} in float" if found.floats else ""
    by = f"{found.calibration} of {found.images} images" if found.images else "training"
    more = ", channels equalised" if found.equalised else ""
    more += ", biases corrected" if found.means else ""
    put(f"{len(found.noise)} layers{kept}; ranges by {by}{more}")
