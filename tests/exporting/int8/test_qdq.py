"""Int8 graphs compute nearly the same as float graphs, with operators on bytes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from nas.core.exact_int8 import OPTIONS  # noqa: E402
from nas.exporting.int8.qdq import hard_inputs, to_qdq, values_of  # noqa: E402
from nas.exporting.int8.ranges import QuantizationGrid, for_hard  # noqa: E402
from nas.exporting.onnx import to_onnx, units_to_onnx  # noqa: E402
from nas.network.blocks import Block  # noqa: E402
from nas.network.lowering import lower_chain  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402


def run(model: Any, images: np.ndarray, names: Any = None) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    for option in OPTIONS.items():
        options.add_session_config_entry(*option)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: list[np.ndarray] = session.run(names, {"input": images})
    return found


def grids_from(model: Any, images: np.ndarray) -> dict[str, QuantizationGrid]:
    """Return grids exactly as wide as the values of `model` on some images."""
    given, *names = values_of(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.ClearField("output")
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = dict(zip(names, run(watched, images), strict=True)) | {given: images}
    return {name: QuantizationGrid.of(float(v.min()), float(v.max())) for name, v in values.items()}


def block(**changes: Any) -> Block:
    fields = {"in_channels": 8, "out_channels": 8, "hidden_channels": 24, "kernel": 3}
    return Block(**{"kind": "mbconv", **fields, **changes})


@pytest.mark.parametrize("act", ["relu", "relu6", "swish", "hswish", "hsigmoid"])
@pytest.mark.parametrize("gate", ["sigmoid", "hsigmoid"])
def test_it_computes_about_what_the_float_graph_does(act: str, gate: str) -> None:
    units = lower_chain((block(act=act, gate=gate, se_channels=4), block(act=act)), (8, 9, 9))
    images = np.random.default_rng(0).standard_normal((16, 8, 9, 9), np.float32)
    model = units_to_onnx(units, random_weights(units))
    (wanted,) = run(model, images)
    (found,) = run(to_qdq(model, grids_from(model, images)), images)
    assert np.abs(found - wanted).mean() < 0.03 * np.abs(wanted).max()


def test_a_network_has_no_activation_in_float() -> None:
    model = to_onnx(load_architecture("mobilenet_v3_small"), batch=1)
    grids = {name: QuantizationGrid.of(-4.0, 6.0) for name in values_of(model)}
    counts = Counter(node.op_type for node in to_qdq(model, grids).graph.node)
    assert not {"HardSwish", "HardSigmoid"} & counts.keys()
    assert counts["Clip"] == len(
        [node for node in model.graph.node if node.op_type in ("HardSwish", "HardSigmoid")]
    )


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-8.0, 3.0), (-0.1, 40.0), (0.0, 0.0)])
def test_what_a_hard_sigmoid_reads_has_bytes_for_its_ends(low: float, high: float) -> None:
    grid = for_hard(QuantizationGrid.of(low, high))
    least, most = grid.range
    assert least <= min(low, -3) + grid.scale
    assert most >= max(high, 3) - grid.scale
    parts = 3 / grid.scale
    assert parts == pytest.approx(round(parts))
    assert round(parts) <= grid.zero_point <= 255 - round(parts)


def test_layers_may_stay_in_float() -> None:
    units = lower_chain((block(act="relu"), block(act="relu")), (8, 9, 9))
    images = np.random.default_rng(0).standard_normal((8, 8, 9, 9), np.float32)
    model = units_to_onnx(units, random_weights(units))
    grids = grids_from(model, images)
    kept = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    graph = to_qdq(model, grids, floats=kept).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert stored["0.expand.weight"] == onnx.TensorProto.FLOAT
    assert "0.expand.weight.steps" not in stored
    assert not hard_inputs(model)


def test_biases_are_corrected_for_rounded_weights() -> None:
    units = lower_chain((block(kind="conv", hidden_channels=0, act="none"),), (8, 5, 5))
    weights = random_weights(units)
    images = np.full((1, 8, 5, 5), 2.0, np.float32)
    model = units_to_onnx(units, weights)
    grids = {"input": QuantizationGrid.of(0.0, 2.0)}
    (wanted,) = run(model, images)
    plain, corrected = (
        run(to_qdq(model, grids, means=means), images)[0][0, :, 2, 2]
        for means in ({}, {"input": np.full(8, 2.0)})
    )
    inner = wanted[0, :, 2, 2]
    assert np.abs(corrected - inner).max() < 0.3 * np.abs(plain - inner).max()


def test_any_layer_may_stay_in_float() -> None:
    model = to_onnx(load_architecture("mobilenet_v3_small@0.5-32"))
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32), np.float32)
    grids = grids_from(model, images)
    layers = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    for number, layer in enumerate(layers):
        for floats in ([layer], layers[: number + 1], layers[number:]):
            graph = to_qdq(model, grids, floats=floats)
            onnx.checker.check_model(graph)
    (plain,), (kept,) = run(model, images), run(to_qdq(model, grids, floats=layers), images)
    np.testing.assert_array_equal(plain, kept)
