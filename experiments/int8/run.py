"""Train networks, quantize them with `nas quantize` and with other quantizers, and compare.

    python -m experiments.int8.run train [--data digits] [--seed 0] [--work FOLDER] [--epochs 10]
    python -m experiments.int8.run measure [--data digits] [--seed 0] [--work FOLDER] [--epochs 10]
    python -m experiments.int8.run aware --networks mnasnet_a1 [--aware-epochs 5]
    python -m experiments.int8.run report

`train` only trains; `measure` first trains what is not yet trained. `--fashion FOLDER` takes 3,000
training and 1,000 validation images of Fashion-MNIST from its four files as the data. All methods
calibrate with the same 128 training images. onnxruntime's `quantize_static` writes unsigned
activations and signed weights with a scale for each output channel, by its three calibrations;
ai-edge-quantizer (with `--edge-python`, a Python that has it) signed ones for LiteRT. Accuracies
are those of the validation images as onnxruntime or LiteRT runs the graphs; latencies are the
lower quartiles of 100 runs in turns, one thread. `aware` trains further with quantization.
`--result` names the file of numbers; the picture is written beside it.
"""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from experiments.int8.other_quantizers import METHODS, by_edge_quantizer, by_onnxruntime
from experiments.int8.picture import draw
from experiments.shared.fashion import write_folders
from nas.core.files import write_text
from nas.core.machine import cpu_name
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.training.data import Data, load_data
from nas.training.int8 import litert
from nas.training.int8.choice import QuantizationSettings, calibration_images
from nas.training.int8.quantize import Quantized, quantize, score_graph
from nas.training.int8.timing import milliseconds
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import complete_training, plan
from nas.training.trained import as_trained

HERE = Path(__file__).parent
NETWORKS = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet_a1", "efficientnet_b0")
ROUNDS = 100


def trained(name: str, data: Data, asked: Namespace) -> Checkpoint:
    """Return a network, trained if it is not yet."""
    arch = scale_resolution(load_architecture(name), asked.side)
    recipe = adapt(find_recipe("auto"), epochs=asked.epochs)
    complete_training(plan(arch, data, recipe, seed=asked.seed), _folder(name, asked))
    return load_checkpoint(str(_folder(name, asked)))


def _folder(name: str, asked: Namespace) -> Path:
    return Path(asked.work) / (f"{name}-{asked.seed}" if asked.seed else name)


def measure(name: str, data: Data, asked: Namespace) -> dict[str, Any]:
    """Return accuracies and latencies of one network."""
    found = trained(name, data, asked)
    settings = QuantizationSettings()
    ours = quantize(found, data, settings)
    batches = calibration_images(found.arch, as_trained(found, data), settings)
    graphs = {"float": ours.float_model, "ours": ours.model}
    for method in METHODS:
        graphs[f"onnxruntime {method}"] = by_onnxruntime(ours.float_model, batches, method)
    top1 = {way: score_graph(found, data, graph) for way, graph in graphs.items()}
    times = milliseconds([*graphs.values()], (3, asked.side, asked.side), rounds=ROUNDS)
    record = {
        "network": name,
        "seed": asked.seed,
        "epochs": asked.epochs,
        "side": asked.side,
        "calibration": ours.calibration,
        "equalised": ours.equalised,
        "top1": top1,
        "latency_ms": dict(zip(graphs, np.round(times, 3).tolist(), strict=True)),
        "cpu": cpu_name(),
    }
    if asked.edge_python:
        _add_litert(record, found, data, ours, by_edge_quantizer_of(found, ours, batches, asked))
    return record


def by_edge_quantizer_of(
    found: Checkpoint, ours: Quantized, batches: Any, asked: Namespace
) -> tuple[bytes, bytes, bytes]:
    """Return the float graph for LiteRT, ours in int8, and ai-edge-quantizer's."""
    plain, whole = litert.to_int8(found, ours)
    return plain, whole, by_edge_quantizer(plain, batches, asked.edge_python)


def _add_litert(
    record: dict[str, Any], found: Checkpoint, data: Data, ours: Quantized, files: Any
) -> None:
    ways = ("litert float", "ours, litert", "ai-edge-quantizer")
    scores = {w: litert.score(found, data, file) for w, file in zip(ways, files, strict=True)}
    shape = (3, record["side"], record["side"])
    times = np.round(litert.milliseconds(files, shape, rounds=ROUNDS), 3).tolist()
    record["top1"] |= scores
    record["latency_ms"] |= dict(zip(ways, times, strict=True))


def aware(name: str, data: Data, asked: Namespace) -> dict[str, Any]:
    """Return the int8 accuracy of a network after further training."""
    found = load_checkpoint(str(asked.work / name))
    settings = QuantizationSettings(max_drop=1)
    ptq = quantize(found, data, settings)
    recipe = adapt(find_recipe("int8"), epochs=asked.aware_epochs)
    options = Options(weights=found.weights, normalisation=found.normalisation, quantize=True)
    out = asked.work / f"{name}-aware"
    rounded = complete_training(plan(found.arch, data, recipe, options=options), out)
    qat = quantize(load_checkpoint(str(out)), data, settings)
    return {
        "network": name,
        "epochs": asked.aware_epochs,
        "top1": {
            "float": ptq.before,
            "after training": ptq.after,
            "rounded in torch": rounded.value,
            "trained with quantization": qat.after,
        },
    }


def report(records: list[dict[str, Any]]) -> None:
    """Print a row for each network, and the mean changes."""
    ways = [way for way in records[0]["top1"] if "float" not in way]
    print(f"| network | float | {' | '.join(ways)} |")
    print(f"|---|---:|{'---:|' * len(ways)}")
    for record in records:
        cells = (_cell(*_change(record, way)) for way in ways)
        print(
            f"| {record['network']} | {100 * record['top1']['float']:.2f} | {' | '.join(cells)} |"
        )
    means = (
        _cell(*(mean(values) for values in zip(*(_change(r, way) for r in records), strict=True)))
        for way in ways
    )
    print(f"| mean | | {' | '.join(means)} |")


def _change(record: dict[str, Any], way: str) -> tuple[float, float]:
    """Return the change of top-1 in points, and the latency as a share of the float graph's."""
    base = "litert float" if "litert" in way or "edge" in way else "float"
    top1, ms = record["top1"], record["latency_ms"]
    return 100 * (top1[way] - top1[base]), ms[way] / ms[base]


def _cell(points: float, share: float) -> str:
    return f"{points:+.2f} ({share:.2f})"


def main() -> None:
    """Measure, train further, or report."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "measure", "aware", "report"])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--work", type=Path, default=Path("runs/int8"))
    parser.add_argument("--fashion", type=Path, help="a folder with Fashion-MNIST's four files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--aware-epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--edge-python", type=Path)
    parser.add_argument("--result", type=Path, default=HERE / "result.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.fashion:
        asked.data = _fashion(asked)
    if asked.what == "train":
        data = load_data(asked.data)
        for name in asked.networks:
            trained(name, data, asked)
        return
    whole: dict[str, Any] = {"data": asked.data.rpartition("/")[2], "networks": [], "aware": []}
    if asked.result.is_file():
        whole |= json.loads(asked.result.read_text())
    key, act = ("aware", aware) if asked.what == "aware" else ("networks", measure)
    for name in asked.networks if asked.what != "report" else ():
        record = act(name, load_data(asked.data), asked)
        others = [one for one in whole[key] if one["network"] != name]
        whole[key] = sorted([*others, record], key=lambda one: NETWORKS.index(_plain(one)))
        write_text(asked.result, json.dumps(whole, indent=1))
    print(json.dumps(whole["aware"], indent=1))
    if not whole["networks"]:
        return
    report(whole["networks"])
    draw(whole["networks"], _change, asked.result.with_suffix(".png"), whole["data"])


def _fashion(asked: Namespace) -> str:
    folder = Path(asked.work) / "fashion_mnist"
    if not folder.is_dir():
        write_folders(asked.fashion, folder, train=3_000, val=1_000)
    return f"imagefolder:{folder}"


def _plain(record: dict[str, Any]) -> str:
    return str(record["network"]).partition("@")[0]


if __name__ == "__main__":
    main()
