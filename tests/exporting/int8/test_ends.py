"""Int8 graphs may begin and end in bytes, and compute the same."""

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nas.core.errors import NasError  # noqa: E402
from nas.exporting.int8.calibrated import Calibrated  # noqa: E402
from nas.exporting.int8.ends import with_ends  # noqa: E402
from nas.exporting.int8.qdq import to_qdq  # noqa: E402
from nas.exporting.int8.ranges import SIGN, Ends, Grid  # noqa: E402
from nas.exporting.onnx import to_onnx  # noqa: E402
from nas.exporting.tflite import int8_to_tflite  # noqa: E402
from nas.network.lowering import lower  # noqa: E402
from nas.network.weights import random_weights  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from tests.exporting.int8.test_qdq import grids_from, run  # noqa: E402

ARCH = load_architecture("mobilenet_v3_small@0.35-32")
IMAGES = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
BOTH = Ends(input=True, output=True)


@pytest.fixture(scope="module")
def graph() -> Any:
    return to_onnx(ARCH, random_weights(lower(ARCH)))


@pytest.fixture(scope="module")
def grids(graph: Any) -> dict[str, Grid]:
    return grids_from(graph, IMAGES)


def steps(values: np.ndarray, grid: Grid) -> np.ndarray:
    return np.clip(np.rint(values / grid.scale) + grid.zero, 0, 255)


def test_bytes_in_and_out_are_those_inside(graph: Any, grids: dict[str, Grid]) -> None:
    inner = to_qdq(graph, grids)
    (wanted,) = run(inner, IMAGES)
    whole = with_ends(inner, BOTH)
    onnx.checker.check_model(whole)
    (found,) = run(whole, steps(IMAGES, grids["input"]).astype(np.uint8))
    assert found.dtype == np.uint8
    out = grids["logits"]
    np.testing.assert_allclose(out.scale * (found.astype(float) - out.zero), wanted, rtol=1e-5)
    assert len(np.unique(found)) > 20


def test_each_end_is_asked_for_alone(graph: Any, grids: dict[str, Grid]) -> None:
    inner = to_qdq(graph, grids)
    (wanted,) = run(inner, IMAGES)
    (found,) = run(
        with_ends(inner, Ends(input=True)), steps(IMAGES, grids["input"]).astype(np.uint8)
    )
    np.testing.assert_array_equal(found, wanted)
    (found,) = run(with_ends(inner, Ends(output=True)), IMAGES)
    assert found.dtype == np.uint8


def test_ends_of_layers_in_float_are_refused(graph: Any, grids: dict[str, Grid]) -> None:
    inner = to_qdq(graph, grids, floats=("stem.0.conv", "logits"))
    with pytest.raises(
        NasError, match=r"input cannot be int8: stem\.0\.conv, .* larger `max_drop`"
    ):
        with_ends(inner, Ends(input=True))
    with pytest.raises(NasError, match="output logits cannot be int8"):
        with_ends(inner, Ends(output=True))


def test_litert_takes_and_gives_signed_bytes(grids: dict[str, Grid]) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    weights = random_weights(lower(ARCH))
    image = IMAGES[:1].transpose(0, 2, 3, 1)

    def runner(ends: Ends) -> Any:
        content = int8_to_tflite(ARCH, weights, Calibrated(grids=grids, ends=ends))
        return interpreter.Interpreter(model_content=content).get_signature_runner()

    plain, whole = runner(Ends()), runner(BOTH)
    given = (steps(image, grids["input"]) - SIGN).astype(np.int8)
    found, wanted = whole(input=given)["logits"], plain(input=image)["logits"]
    assert found.dtype == np.int8
    details = whole.get_output_details()["logits"]
    scale, zero = details["quantization"]
    assert (scale, zero) == (pytest.approx(grids["logits"].scale), grids["logits"].zero - SIGN)
    np.testing.assert_allclose(scale * (found.astype(float) - zero), wanted, atol=scale / 2)
