"""The quantized torch model computes the same as onnxruntime with the int8 graph."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from nas.exporting.int8.qdq import to_qdq, values_of, written  # noqa: E402
from nas.exporting.int8.ranges import grid_of  # noqa: E402
from nas.exporting.onnx import to_onnx  # noqa: E402
from nas.models.quantized import QuantizedNetwork  # noqa: E402
from nas.network.blocks import Architecture  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training.int8.calibration import calibrate  # noqa: E402
from nas.training.int8.runtime import RuntimeModel  # noqa: E402
from nas.training.trained import with_weights  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

NETWORKS = (
    "mobilenet_v1@0.25-64",  # ReLU6
    "mobilenet_v3_small@0.35-64",  # hard-swish, hard-sigmoid
    "mnasnet_a1@0.75-64",  # ReLU, sigmoid
    "efficientnet_b0@0.35-64",  # swish
)
DETECTORS = {"ssdlite:mobilenet_v2@0.35@96,classes=3": 96, "yolov8n": 64, "yolov5n": 64}


def both(arch: Architecture) -> tuple[QuantizedNetwork, RuntimeModel, dict[str, Any], Any]:
    """Return the torch model, the int8 graph, the grids of their values, and images."""
    weights = random_weights(lower(arch))
    side = arch.resolution
    images = np.random.default_rng(0).standard_normal((16, 3, side, side), np.float32)
    graph = to_onnx(arch, weights)
    found = calibrate(graph, [images]).histograms
    grids = {name: grid_of(values, by="minmax") for name, values in found.items()}
    ranges = {name: grids[name].range for name in written(graph)}
    network = with_weights(arch, {k: torch.from_numpy(v) for k, v in weights.items()})
    quantized = QuantizedNetwork(network, arch, ranges).eval()
    return quantized, RuntimeModel(to_qdq(graph, grids)), grids, torch.from_numpy(images)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_int8_graph(name: str) -> None:
    network, runtime, grids, images = both(load_architecture(name))
    with torch.no_grad():
        ours, theirs = network(images), runtime(images)
    steps = (ours - theirs).abs() / grids["logits"].scale
    assert ours.shape == theirs.shape
    assert steps.mean() < 0.7  # sums are rounded in another order, and some values to another byte
    assert ours.std() > 20 * grids["logits"].scale


@pytest.mark.parametrize("name", DETECTORS)
def test_so_are_the_outputs_of_detectors(name: str) -> None:
    network, runtime, _, images = both(replace(load_architecture(name), resolution=DETECTORS[name]))
    with torch.no_grad():
        pairs = zip(network(images[:4]), runtime(images[:4]), strict=True)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().mean() < 0.05 * theirs.std()


def test_it_shares_names_and_weights_with_the_float_network() -> None:
    arch = load_architecture("mobilenet_v3_small@0.35-32")
    weights = random_weights(lower(arch))
    network = with_weights(arch, {k: torch.from_numpy(v) for k, v in weights.items()})
    found = QuantizedNetwork(network, arch, {"input": (-2.0, 3.0)})
    assert {*found.state_dict()} - {*network.state_dict()} == {"ranges"}
    assert next(found.parameters()).data_ptr() == found.ranges.data_ptr()
    names = dict(found.named_parameters())
    assert names["stem.0.conv.weight"] is dict(network.named_parameters())["stem.0.conv.weight"]


def test_every_value_of_the_graph_is_rounded_and_no_other() -> None:
    arch = load_architecture("efficientnet_b0@0.35-32")
    graph = to_onnx(arch, random_weights(lower(arch)))
    assert {*written(graph)} == {*values_of(graph)}
    network, _, _, images = both(arch)
    network(images).square().mean().backward()
    moved = network.ranges.grad.abs().sum(1) > 0
    assert moved.float().mean() > 0.95  # in a few the two ends happen to balance
