"""Measure what post-processing adds to a detector's forward pass; asserts nothing.

python tests/bench/detection.py [--arch ssdlite:mobilenet_v3_small] [--classes 3]

Three ways, each as medians over repetitions in one process with one thread: the torch model with
the suppression of `nas eval`, and the exported ONNX and TFLite graphs against those that end in
numbers (`raw`). Weights are random, so nearly every box is a candidate, the worst case for
suppression. Training is measured by `training.py --arch ssdlite:... --data digits_scenes`.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch  # noqa: TID253  # a benchmark of torch code

from nas.exporting.onnx import detector_to_onnx, to_onnx
from nas.exporting.tflite import detector_to_tflite, to_tflite
from nas.models.build import build_model
from nas.network.blocks import Architecture
from nas.network.detector import default_nms
from nas.network.lowering import priors_of
from nas.network.zoo import load_architecture
from nas.training.boxes import Outputs
from nas.training.detection.coding import PriorTensors
from nas.training.detection.nms import postprocess


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Return the median time of a call."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def by_torch(arch: Architecture, images: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the forward pass, alone and with post-processing."""
    model, start = build_model(arch).eval(), PriorTensors.of(priors_of(arch))
    assert arch.detector is not None
    detector, given = arch.detector, torch.from_numpy(images)

    def alone() -> Outputs:
        with torch.inference_mode():
            return Outputs(*model(given))

    return alone, lambda: postprocess(detector, alone(), start, default_nms(detector))


def by_onnx(arch: Architecture, images: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the graph that ends in numbers, and the one that ends in boxes."""
    import onnxruntime

    def run(model: Any) -> Callable[[], Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return lambda: session.run(None, {"input": images})

    return run(to_onnx(arch, batch=1)), run(detector_to_onnx(arch))


def by_litert(arch: Architecture, images: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the graph that ends in numbers, and the one that ends in boxes."""
    from ai_edge_litert.interpreter import Interpreter

    def run(model: bytes) -> Callable[[], Any]:
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        interpreter.set_tensor(place, images.transpose(0, 2, 3, 1))
        return lambda: interpreter.invoke()

    return run(to_tflite(arch, batch=1)), run(detector_to_tflite(arch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--arch", nargs="+",
        default=["ssdlite:mobilenet_v3_small,classes=3", "yolo:mobilenet_v3_small,classes=3"],
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ways = {"torch": by_torch, "onnxruntime": by_onnx, "LiteRT": by_litert}
    for name in asked.arch:
        arch = load_architecture(name)
        shape = (1, 3, arch.resolution, arch.resolution)
        images = np.random.default_rng(0).standard_normal(shape, np.float32)
        for way, make in ways.items():
            alone, whole = (milliseconds(call, asked.rounds) for call in make(arch, images))
            print(f"{name} {way:12} {alone:7.2f} ms, with boxes {whole:7.2f}: post-processing is "
                  f"{max(1 - alone / whole, 0):.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
