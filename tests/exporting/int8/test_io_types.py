"""Int8 graphs may have byte inputs and outputs, and compute the same."""

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nas.core.errors import NasError  # noqa: E402
from nas.exporting.int8.calibrated import Calibrated  # noqa: E402
from nas.exporting.int8.io_types import with_io_types  # noqa: E402
from nas.exporting.int8.qdq import to_qdq  # noqa: E402
from nas.exporting.int8.ranges import SIGN, IOTypes, QuantizationGrid  # noqa: E402
from nas.exporting.onnx import to_onnx  # noqa: E402
from nas.exporting.tflite import int8_to_tflite  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from tests.exporting.int8.test_qdq import grids_from, run  # noqa: E402

ARCH = load_architecture("mobilenet_v3_small@0.35-32")
IMAGES = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
BOTH = IOTypes(input=True, output=True)


@pytest.fixture(scope="module")
def graph() -> Any:
    return to_onnx(ARCH, random_weights(lower(ARCH)))


@pytest.fixture(scope="module")
def grids(graph: Any) -> dict[str, QuantizationGrid]:
    return grids_from(graph, IMAGES)


def steps(values: np.ndarray, grid: QuantizationGrid) -> np.ndarray:
    return np.clip(np.rint(values / grid.scale) + grid.zero_point, 0, 255)


def test_bytes_in_and_out_are_those_inside(graph: Any, grids: dict[str, QuantizationGrid]) -> None:
    inner = to_qdq(graph, grids)
    (wanted,) = run(inner, IMAGES)
    whole = with_io_types(inner, BOTH)
    onnx.checker.check_model(whole)
    (found,) = run(whole, steps(IMAGES, grids["input"]).astype(np.uint8))
    assert found.dtype == np.uint8
    out = grids["logits"]
    np.testing.assert_allclose(
        out.scale * (found.astype(float) - out.zero_point), wanted, rtol=1e-5
    )
    assert len(np.unique(found)) > 20


def test_each_end_is_asked_for_alone(graph: Any, grids: dict[str, QuantizationGrid]) -> None:
    inner = to_qdq(graph, grids)
    (wanted,) = run(inner, IMAGES)
    (found,) = run(
        with_io_types(inner, IOTypes(input=True)), steps(IMAGES, grids["input"]).astype(np.uint8)
    )
    np.testing.assert_array_equal(found, wanted)
    (found,) = run(with_io_types(inner, IOTypes(output=True)), IMAGES)
    assert found.dtype == np.uint8


def test_ends_of_layers_in_float_are_refused(
    graph: Any, grids: dict[str, QuantizationGrid]
) -> None:
    inner = to_qdq(graph, grids, floats=("stem.0.conv", "logits"))
    with pytest.raises(
        NasError, match=r"input cannot be int8: stem\.0\.conv, .* larger `max_drop`"
    ):
        with_io_types(inner, IOTypes(input=True))
    with pytest.raises(NasError, match="output logits cannot be int8"):
        with_io_types(inner, IOTypes(output=True))


def test_litert_takes_and_gives_signed_bytes(grids: dict[str, QuantizationGrid]) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    weights = random_weights(lower(ARCH))
    image = IMAGES[:1].transpose(0, 2, 3, 1)

    def runner(ends: IOTypes) -> Any:
        content = int8_to_tflite(ARCH, weights, Calibrated(grids=grids, io_types=ends))
        return interpreter.Interpreter(model_content=content).get_signature_runner()

    plain, whole = runner(IOTypes()), runner(BOTH)
    given = (steps(image, grids["input"]) - SIGN).astype(np.int8)
    found, wanted = whole(input=given)["logits"], plain(input=image)["logits"]
    assert found.dtype == np.int8
    details = whole.get_output_details()["logits"]
    scale, zero_point = details["quantization"]
    assert (scale, zero_point) == (
        pytest.approx(grids["logits"].scale),
        grids["logits"].zero_point - SIGN,
    )
    np.testing.assert_allclose(scale * (found.astype(float) - zero_point), wanted, atol=scale / 2)
