"""Train networks, quantize them with `nas quantize` and with onnxruntime's quantizer, and compare.

    python -m experiments.int8.run measure [--data digits] [--work FOLDER] [--epochs 10]
    python -m experiments.int8.run report

Both calibrate with the same 128 training images. onnxruntime's `quantize_static` writes unsigned
activations and signed weights with a scale for each output channel, by its three calibrations.
Accuracies are those of the validation images as onnxruntime runs the graphs; latencies are medians
of 100 runs in turns, one thread.
"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from nas.core.files import write_text
from nas.core.machine import cpu_name
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training.data import Data, load_data
from nas.training.int8.choice import Settings, calibration_images
from nas.training.int8.quantize import quantize, score_graph
from nas.training.int8.timing import milliseconds
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import carry_through, plan
from nas.training.trained import as_trained

HERE = Path(__file__).parent
NETWORKS = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet_a1", "efficientnet_b0")
SIDE = 64
ROUNDS = 100
METHODS: Mapping[str, CalibrationMethod] = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Gives calibration images one batch after the other."""

    def __init__(self, batches: list[Any]) -> None:
        self.rest: Iterator[Any] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        images = next(self.rest, None)
        return None if images is None else {"input": images}


def by_onnxruntime(model: onnx.ModelProto, batches: list[Any], method: str) -> onnx.ModelProto:
    """Return what onnxruntime's quantizer makes of `model`."""
    with TemporaryDirectory() as folder:
        plain, ready, made = (str(Path(folder) / f"{name}.onnx") for name in ("a", "b", "c"))
        onnx.save(model, plain)
        quant_pre_process(plain, ready)
        quantize_static(
            ready, made, _Reader(batches),
            quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
        )  # fmt: skip
        return onnx.load(made)


def measure(name: str, data: Data, work: Path, epochs: int) -> dict[str, Any]:
    """Return accuracies and latencies of one network."""
    arch = scale_resolution(load_architecture(name), SIDE)
    job = plan(arch, data, adapt(find_recipe("auto"), epochs=epochs))
    carry_through(job, work / name)
    found: Checkpoint = load_checkpoint(str(work / name))
    settings = Settings()
    ours = quantize(found, data, settings)
    batches = calibration_images(found.arch, as_trained(found, data), settings)
    graphs = {"float": ours.float_model, "ours": ours.model}
    for method in METHODS:
        graphs[f"onnxruntime {method}"] = by_onnxruntime(ours.float_model, batches, method)
    top1 = {way: score_graph(found, data, graph) for way, graph in graphs.items()}
    times = milliseconds([*graphs.values()], (3, SIDE, SIDE), rounds=ROUNDS)
    return {
        "network": name,
        "epochs": epochs,
        "calibration": ours.calibration,
        "top1": top1,
        "latency_ms": dict(zip(graphs, np.round(times, 3).tolist(), strict=True)),
        "cpu": cpu_name(),
    }


def report(records: list[dict[str, Any]]) -> None:
    """Print a row for each network, and the mean changes."""
    ways = [way for way in records[0]["top1"] if way != "float"]
    print(f"| network | float | {' | '.join(ways)} |")
    print(f"|---|---:|{'---:|' * len(ways)}")
    for record in records:
        top1, ms = record["top1"], record["latency_ms"]
        cells = (
            f"{100 * (top1[way] - top1['float']):+.2f} ({ms[way] / ms['float']:.2f})"
            for way in ways
        )
        print(f"| {record['network']} | {100 * top1['float']:.2f} | {' | '.join(cells)} |")
    means = (
        f"{100 * mean(r['top1'][way] - r['top1']['float'] for r in records):+.2f} "
        f"({mean(r['latency_ms'][way] / r['latency_ms']['float'] for r in records):.2f})"
        for way in ways
    )
    print(f"| mean | | {' | '.join(means)} |")


def main() -> None:
    """Measure, or report."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--work", type=Path, default=Path("runs/int8"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    asked = parser.parse_args()
    path = HERE / "result.json"
    if asked.what == "measure":
        torch.set_num_threads(1)
        data, records = load_data(asked.data), []
        for name in asked.networks:
            records.append(measure(name, data, asked.work, asked.epochs))
            write_text(path, json.dumps({"data": asked.data, "networks": records}, indent=1))
    report(json.loads(path.read_text())["networks"])


if __name__ == "__main__":
    main()
