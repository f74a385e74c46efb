"""TensorFlow Lite graphs in int8 of which some layers stay in float."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")

from nas.exporting.int8.calibrated import Calibrated  # noqa: E402
from nas.exporting.int8.qdq import WEIGHTED, assumed_grids  # noqa: E402
from nas.exporting.int8.ranges import SIGN, IOTypes, QuantizationGrid  # noqa: E402
from nas.exporting.onnx import to_onnx  # noqa: E402
from nas.exporting.tflite import detector_to_tflite, int8_to_tflite, to_tflite  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from tests.exporting.int8.test_qdq import grids_from  # noqa: E402

ARCH = load_architecture("mobilenet_v3_small@0.35-32")
WEIGHTS = random_weights(lower(ARCH))
GRAPH = to_onnx(ARCH, WEIGHTS)
IMAGES = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
PIXELS = IMAGES.transpose(0, 2, 3, 1)


def layers(graph: Any) -> tuple[str, ...]:
    return tuple(node.output[0] for node in graph.graph.node if node.op_type in WEIGHTED)


@pytest.fixture(scope="module")
def grids() -> dict[str, QuantizationGrid]:
    return grids_from(GRAPH, IMAGES)


def opened(content: bytes) -> Any:
    kept = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # to count operators
    found = interpreter.Interpreter(model_content=content, experimental_op_resolver_type=kept)
    found.allocate_tensors()
    return found


def mixed(grids: dict[str, QuantizationGrid], *floats: str, ends: IOTypes | None = None) -> bytes:
    made = Calibrated(grids=grids, floats=floats, io_types=ends or IOTypes())
    return int8_to_tflite(ARCH, WEIGHTS, made)


def outputs(content: bytes) -> Any:
    run = interpreter.Interpreter(model_content=content).get_signature_runner()
    return np.concatenate([run(input=image[None])["logits"] for image in PIXELS])


def conversions(content: bytes) -> tuple[int, int]:
    """Return how often bytes become floats, and floats bytes."""
    kinds = Counter(operator["op_name"] for operator in opened(content)._get_ops_details())
    return kinds["DEQUANTIZE"], kinds["QUANTIZE"]


def test_a_layer_in_float_is_nearer_to_the_float_network(
    grids: dict[str, QuantizationGrid],
) -> None:
    wanted = outputs(to_tflite(ARCH, WEIGHTS))
    plain, one = (
        ((outputs(c) - wanted) ** 2).sum() for c in (mixed(grids), mixed(grids, "logits"))
    )
    assert 0 < one < 0.8 * plain


def test_all_layers_in_float_are_the_float_network(grids: dict[str, QuantizationGrid]) -> None:
    content = mixed(grids, *layers(GRAPH))
    assert conversions(content) == (0, 0)
    wanted = outputs(to_tflite(ARCH, WEIGHTS))
    np.testing.assert_allclose(outputs(content), wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("floats", "wanted"),
    [
        ((), (1, 1)),  # at both ends
        (("logits",), (1, 1)),  # instead of the output
        (("stem.0.conv",), (1, 1)),  # instead of the input
        (("stages.1.0.expand",), (2, 2)),
        (("stages.1.0.expand", "stages.1.0.depthwise"), (2, 2)),  # nothing between neighbours
        (("stages.1.0.expand", "stages.1.0.project"), (3, 3)),
    ],
)
def test_values_are_converted_only_where_they_must_be(
    grids: dict[str, QuantizationGrid], floats: tuple[str, ...], wanted: tuple[int, int]
) -> None:
    assert conversions(mixed(grids, *floats)) == wanted


def test_layers_in_float_may_be_at_ends_of_bytes(grids: dict[str, QuantizationGrid]) -> None:
    floats = ("stem.0.conv", "logits")
    wanted = outputs(mixed(grids, *floats))
    run = opened(mixed(grids, *floats, ends=IOTypes(input=True, output=True)))
    (given,), (made,) = run.get_input_details(), run.get_output_details()
    assert given["dtype"] == made["dtype"] == np.int8
    assert made["quantization"][1] == grids["logits"].zero_point - SIGN
    found = []
    for image in PIXELS:
        scale, zero = given["quantization"]
        steps = np.clip(np.rint(image / scale) + zero, -SIGN, SIGN - 1).astype(np.int8)
        run.set_tensor(given["index"], steps[None])
        run.invoke()
        found.append(run.get_tensor(made["index"])[0].astype(float))
    scale, zero = made["quantization"]
    error = scale * (np.array(found) - zero) - wanted
    assert np.sqrt((error**2).mean()) < 2 * scale


@pytest.mark.parametrize("name", ["yolov5n", "yolov5_lite_s", "ssdlite:mobilenet_v3_small@96"])
def test_a_detector_has_layers_in_float(name: str) -> None:
    arch = replace(load_architecture(name), resolution=96)
    weights = random_weights(lower(arch))
    graph = to_onnx(arch, weights)
    grids = assumed_grids(graph)
    whole = Calibrated(grids=grids, floats=layers(graph))
    none = conversions(detector_to_tflite(arch, weights, calibrated=whole))
    assert none == (0, 0)
    image = np.random.default_rng(0).standard_normal((1, 96, 96, 3), np.float32)
    some = replace(whole, floats=layers(graph)[::3])
    for calibrated, close in ((whole, True), (some, False)):
        content = int8_to_tflite(arch, weights, calibrated)
        found = interpreter.Interpreter(model_content=content).get_signature_runner()(input=image)
        run = interpreter.Interpreter(model_content=to_tflite(arch, weights)).get_signature_runner()
        for output, values in run(input=image).items():
            assert np.isfinite(found[output]).all()
            equal = np.allclose(found[output], values, atol=1e-5 * np.abs(values).max())
            assert equal == close
