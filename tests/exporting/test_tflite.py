"""TensorFlow Lite graphs compute the same as ONNX graphs. No torch here."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from zoo import VARIED

from nas.core.errors import MissingPackage, NasError
from nas.exporting.onnx import units_to_onnx
from nas.exporting.tflite import to_tflite, units_to_tflite
from nas.network.blocks import ACTS, Block
from nas.network.layers import Unit
from nas.network.lowering import lower, lower_block
from nas.network.multipliers import scale_resolution
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

TOLERANCE = 1e-5
"""Relative to the largest output."""


def opened(model: bytes) -> Any:
    result = interpreter.Interpreter(model_content=model, num_threads=1)
    result.allocate_tensors()
    return result


def run_tflite(model: bytes, images: Any) -> Any:
    """Return the output for images with channels first, transposed back to channels first."""
    output = opened(model).get_signature_runner()(input=images.transpose(0, 2, 3, 1))["logits"]
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def run_onnx(units: tuple[Unit, ...], images: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        units_to_onnx(units).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": images})[0]


def check_equal(units: tuple[Unit, ...], *, batch: int = 1) -> None:
    shape = (batch, *units[0].in_shape)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    expected = run_onnx(units, images)
    found = run_tflite(units_to_tflite(units, batch=batch), images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("name", VARIED)
def test_it_computes_what_the_onnx_graph_does(name: str) -> None:
    check_equal(lower(scale_resolution(load_architecture(name), 64)))


def test_odd_sides_and_batches_agree_too() -> None:
    check_equal(lower(scale_resolution(load_architecture("mobilenet_v3_small"), 75)), batch=2)


def run_resized(model: bytes, images: Any, *, strict: bool = True) -> Any:
    """Return the output for images with channels first, after resizing the input to their shape."""
    result = interpreter.Interpreter(model_content=model, num_threads=1)
    place = result.get_input_details()[0]["index"]
    images = images.transpose(0, 2, 3, 1)
    result.resize_tensor_input(place, images.shape, strict=strict)
    result.allocate_tensors()
    result.set_tensor(place, images)
    result.invoke()
    return result.get_tensor(result.get_output_details()[0]["index"])


def signature(model: bytes) -> list[int]:
    return list(opened(model).get_input_details()[0]["shape_signature"])


@pytest.mark.parametrize("name", ["mobilenet_v1@0.25", "mobilenet_v3_small", "mnasnet_a1"])
def test_the_batch_can_be_resized(name: str) -> None:
    model = to_tflite(scale_resolution(load_architecture(name), 64))
    images = np.random.default_rng(0).standard_normal((3, 3, 64, 64), np.float32)
    one_by_one = [run_tflite(model, image[None]) for image in images]
    np.testing.assert_allclose(run_resized(model, images), np.concatenate(one_by_one), rtol=1e-6)


@pytest.mark.parametrize("side", [33, 75, 96])
def test_height_and_width_can_be_resized_where_the_network_pools(side: int) -> None:
    small, other = (
        scale_resolution(load_architecture("mobilenet_v3_small"), n) for n in (64, side)
    )
    weights = random_weights(lower(small))
    model = to_tflite(small, weights)
    assert signature(model) == [-1, -1, -1, 3]
    images = np.random.default_rng(0).standard_normal((2, 3, side, side), np.float32)
    expected = run_tflite(to_tflite(other, weights, batch=2), images)
    np.testing.assert_allclose(run_resized(model, images), expected, rtol=1e-6)


def test_what_depends_on_the_size_keeps_height_and_width() -> None:
    pooled = (unit(stride=2, skip="pool"), *head("pool"))
    for units in ((unit(),), pooled):
        assert signature(units_to_tflite(units)) == [-1, 8, 8, 6]
    images = np.random.default_rng(0).standard_normal((2, 6, 8, 8), np.float32)
    model = units_to_tflite(pooled)
    expected = run_tflite(units_to_tflite(pooled, batch=2), images)
    np.testing.assert_allclose(run_resized(model, images), expected, rtol=1e-6)
    with pytest.raises(RuntimeError, match="resize dimension 1 "):
        run_resized(model, np.zeros((2, 6, 16, 16), np.float32))


def head(*kinds: str) -> tuple[Unit, ...]:
    blocks = (Block(kind=kind, in_channels=6, out_channels=6) for kind in kinds)
    return tuple(lower_block(block, (6, 4, 4), name=block.kind) for block in blocks)


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_a_given_batch_fixes_the_shape(dtype: str) -> None:
    units = lower(scale_resolution(load_architecture("mobilenet_v1@0.25"), 32))
    assert signature(units_to_tflite(units, batch=2, dtype=dtype)) == [2, 32, 32, 3]


def unit(side: int = 8, **changes: Any) -> Unit:
    fields = {"kind": "mbconv", "in_channels": 6, "out_channels": 6, "hidden_channels": 12}
    return lower_block(Block(**{**fields, "kernel": 3, **changes}), (6, side, side))


@pytest.mark.parametrize("act", ACTS)
def test_every_activation_agrees(act: str) -> None:
    check_equal((unit(act=act, se_channels=4, se_act=act, gate="hsigmoid"),))


@pytest.mark.parametrize("side", [1, 2, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_padding_is_the_same_on_both_sides(side: int, stride: int, kernel: int) -> None:
    check_equal((unit(side, kernel=kernel, stride=stride, skip="none"),))


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_pooled_shortcuts_leave_the_padding_out(side: int, stride: int) -> None:
    check_equal((unit(side, stride=stride, skip="pool"),))


def test_one_channel_is_no_depthwise_convolution() -> None:
    block = Block(kind="conv", in_channels=1, out_channels=4, kernel=3)
    check_equal((lower_block(block, (1, 5, 5)),))


def test_constants_are_aligned_and_the_file_is_marked() -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = units_to_tflite([unit()])
    assert content[4:8] == b"TFL3"
    model = schema.Model.GetRootAs(content, 0)
    starts = [
        vector.tobytes() and (vector.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data)
        for vector in (model.Buffers(i).DataAsNumpy() for i in range(1, model.BuffersLength()))
    ]
    assert len(starts) > 5
    assert all(start % 16 == 0 for start in starts)


def test_metadata_say_which_architecture_it_is() -> None:
    from ai_edge_litert import schema_py_generated as schema

    arch = load_architecture("mobilenet_v1@0.25")
    model = schema.Model.GetRootAs(to_tflite(arch), 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    found = {e.Name(): model.Buffers(e.Buffer()).DataAsNumpy().tobytes() for e in entries}
    assert found == {
        b"fingerprint": arch.fingerprint.encode(), b"name": b"mobilenet_v1@0.25",
        b"resolution": b"224", b"layout": b"NHWC",
    }  # fmt: skip
    assert model.Description() == b"mobilenet_v1@0.25"


def test_the_seed_decides_the_weights_and_given_ones_are_taken() -> None:
    arch = scale_resolution(load_architecture("mobilenet_v1@0.25"), 32)
    first, again, other = (to_tflite(arch, seed=s) for s in (1, 1, 2))
    assert first == again != other
    assert to_tflite(arch, random_weights(lower(arch), seed=2)) == other


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"])
def test_int8_is_bytes_between_float_ends(name: str) -> None:
    units = lower(scale_resolution(load_architecture(name), 64))
    model = units_to_tflite(units, dtype="int8")
    operators = [row["op_name"] for row in opened(model)._get_ops_details()]
    assert (operators.count("QUANTIZE"), operators.count("DEQUANTIZE")) == (1, 1)
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    rounded, exact = run_tflite(model, images), run_tflite(units_to_tflite(units), images)
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.6  # the ranges are not fitted


def test_what_makes_no_graph_is_refused() -> None:
    with pytest.raises(NasError, match="no units"):
        units_to_tflite([])
    with pytest.raises(NasError, match=r"batch size .* must be 1 or more, not 0"):
        units_to_tflite([unit()], batch=0)
    with pytest.raises(NasError, match="no weights for expand"):
        units_to_tflite([unit()], {})


def test_without_the_package_its_name_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingPackage, match=r"pip install 'nas\[litert\]'"):
        units_to_tflite([unit()])


def test_writing_a_graph_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys, nas.exporting.tflite, nas.network.zoo\n"
        "assert not {'ai_edge_litert', 'flatbuffers'} & set(sys.modules)\n"
        "nas.exporting.tflite.to_tflite(nas.network.zoo.load_architecture('mobilenet_v1@0.25'))\n"
        "assert not {'torch', 'onnx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
