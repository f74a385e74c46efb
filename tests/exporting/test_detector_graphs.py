"""Detectors compute the same in torch, onnxruntime and LiteRT, before their outputs are decoded."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.exporting.onnx import to_onnx, units_to_onnx
from nas.exporting.tflite import to_tflite
from nas.network.blocks import Architecture
from nas.network.lowering import ends, lower, priors_of
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SMALL = {
    "ssdlite:mobilenet_v3_small@160,classes=3": 160,
    "ssd:mobilenet_v1@0.25@96,classes=2": 96,
    "yolo:mobilenet_v3_small@96,classes=3": 96,
    "yolov8n": 64,
    "yolov5n": 64,
    "yolov5_lite_e": 64,
}
"""Each kind of head and block, with the side of the input."""
TOLERANCE = 1e-4
"""Relative to the largest output."""


def arch_of(name: str) -> Architecture:
    return replace(load_architecture(name), resolution=SMALL[name])


def by_torch(arch: Architecture, images: Any) -> list[Any]:
    from nas.training.trained import with_weights

    weights = {k: torch.from_numpy(v) for k, v in random_weights(lower(arch)).items()}
    with torch.inference_mode():
        return [value.numpy() for value in with_weights(arch, weights)(torch.from_numpy(images))]


def by_onnx(arch: Architecture, images: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(arch).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return list(session.run(["box_numbers", "class_scores"], {"input": images}))


def by_litert(arch: Architecture, images: Any) -> list[Any]:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    found = interpreter.Interpreter(model_content=to_tflite(arch), num_threads=1)
    found.allocate_tensors()
    outputs = found.get_signature_runner()(input=images.transpose(0, 2, 3, 1))
    return [outputs["box_numbers"], outputs["class_scores"]]


@pytest.mark.parametrize("name", SMALL)
def test_all_runtimes_agree(name: str) -> None:
    arch = arch_of(name)
    assert arch.detector
    side = arch.resolution
    images = np.random.default_rng(0).standard_normal((1, 3, side, side), np.float32)
    boxes, scores = by_torch(arch, images)
    assert boxes.shape == (1, len(priors_of(arch)), arch.detector.numbers)
    assert scores.shape == (1, len(priors_of(arch)), arch.detector.scores)
    for found in (by_onnx(arch, images), by_litert(arch, images)):
        for ours, theirs in zip((boxes, scores), found, strict=True):
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(ours).max()


def test_a_batch_gives_what_its_images_give() -> None:
    arch = arch_of("yolov5n")
    images = np.random.default_rng(0).standard_normal((3, 3, 64, 64), np.float32)
    together = by_onnx(arch, images)
    for number in range(len(images)):
        alone = by_onnx(arch, images[number : number + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[number], atol=1e-4)


def test_units_to_be_timed_give_all_that_nothing_reads() -> None:
    units = lower(arch_of("yolo:mobilenet_v3_small@96,classes=3"))
    graph = units_to_onnx(units, batch=1).graph
    assert len(graph.output) == len(ends(units)) == 6
