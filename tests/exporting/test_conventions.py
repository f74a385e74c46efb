"""Padding and epsilon of an architecture: torch, onnxruntime and LiteRT agree on both."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.exporting.onnx import to_onnx
from nas.exporting.tflite import to_tflite
from nas.network.blocks import Architecture, Block, from_mapping, to_mapping
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.weights import random_weights

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytest.importorskip("onnx")
pytestmark = pytest.mark.torch

TOLERANCE = 1e-5
"""Relative to the largest output."""


def network(side: int, kernel: int = 3, **conventions: Any) -> Architecture:
    mbconv = Block(kind="mbconv", in_channels=8, out_channels=8, hidden_channels=16, kernel=kernel)
    return Architecture(
        resolution=side,
        stem=(Block(kind="conv", in_channels=3, out_channels=8, kernel=kernel, stride=2),),
        stages=(
            (replace(mbconv, stride=2, se_channels=4), mbconv),
            (replace(mbconv, kind="separable", stride=2, hidden_channels=0),),
        ),
        head=(
            Block(kind="pool", in_channels=8, out_channels=8),
            Block(kind="linear", in_channels=8, out_channels=5, act="none"),
        ),
        **conventions,
    )


def by_torch(arch: Architecture, images: Any) -> Any:
    from nas.training.trained import with_weights

    weights = {k: torch.from_numpy(v) for k, v in random_weights(lower(arch)).items()}
    with torch.no_grad():
        return with_weights(arch, weights)(torch.from_numpy(images)).numpy()


def by_onnxruntime(arch: Architecture, images: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = to_onnx(arch).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images})[0]


def by_litert(arch: Architecture, images: Any) -> Any:
    found = interpreter.Interpreter(model_content=to_tflite(arch), num_threads=1)
    images = images.transpose(0, 2, 3, 1)
    found.resize_tensor_input(found.get_input_details()[0]["index"], images.shape, strict=True)
    found.allocate_tensors()
    return found.get_signature_runner()(input=images)["logits"]


def pictures(side: int) -> Any:
    return np.random.default_rng(0).standard_normal((2, 3, side, side), np.float32)


@pytest.mark.parametrize(
    "conventions",
    [{"padding": "same"}, {"norm_epsilon": 1e-5}, {"padding": "same", "norm_epsilon": 0.1}],
    ids=str,
)
@pytest.mark.parametrize(("side", "kernel"), [(32, 3), (33, 3), (31, 5), (46, 5), (20, 7)])
def test_three_runtimes_agree(conventions: Any, side: int, kernel: int) -> None:
    arch, images = network(side, kernel, **conventions), pictures(side)
    expected = by_torch(arch, images)
    for found in (by_onnxruntime(arch, images), by_litert(arch, images)):
        assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(
    ("side", "conventions", "equal"),
    [
        (32, {"padding": "same"}, False),
        (33, {"padding": "same"}, True),  # maps of 17, 9 and 5: odd at every stride
        (33, {"norm_epsilon": 0.1}, False),
    ],
    ids=str,
)
def test_both_matter(side: int, conventions: Any, equal: bool) -> None:
    images = pictures(side)
    expected = by_torch(network(side), images)
    assert np.allclose(by_torch(network(side, **conventions), images), expected) is equal


@pytest.mark.parametrize("side", [24, 39])
def test_open_graphs_pad_for_the_size_they_are_given(side: int) -> None:
    images = pictures(side)
    expected = by_torch(network(side, 5, padding="same"), images)
    arch = network(32, 5, padding="same")
    for found in (by_torch, by_onnxruntime, by_litert):
        assert np.abs(found(arch, images) - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_same_padding_adds_nothing_before_an_even_map() -> None:
    """As in TensorFlow: a kernel of 3 at a stride of 2 begins at the first pixel."""
    from nas.models.build import ConvNorm

    layer = lower(network(4, padding="same"))[0].layers[0]
    module = ConvNorm(layer)  # type: ignore[arg-type]
    module.norm = module.act = torch.nn.Identity()
    torch.nn.init.zeros_(module.weight)
    with torch.no_grad():
        module.weight[:, :, 0, 0] = 1.0
        images = torch.arange(48.0).reshape(1, 3, 4, 4)
        found = module(images)
    assert torch.equal(found[0, 0], images[0, :, ::2, ::2].sum(0))


def test_both_are_fields_of_the_file_that_defaults_leave_out() -> None:
    plain, other = network(32), network(32, padding="same", norm_epsilon=1e-5)
    assert not {"padding", "norm_epsilon"} & set(to_mapping(plain))
    assert to_mapping(other)["padding"] == "same"
    assert to_mapping(other)["norm_epsilon"] == 1e-5
    assert from_mapping(to_mapping(other)) == other
    assert len({plain.fingerprint, other.fingerprint, network(32, padding="same").fingerprint}) == 3
    assert cost(plain) == cost(other)
    assert [unit.key for unit in lower(plain)] == [unit.key for unit in lower(other)]


@pytest.mark.parametrize(
    ("conventions", "message"),
    [
        ({"padding": "valid"}, "padding must be one of symmetric, same, not 'valid'"),
        ({"padding": ["same"]}, "padding must be"),
        ({"norm_epsilon": 0}, "norm_epsilon must be a number above 0, up to 1, not 0"),
        ({"norm_epsilon": True}, "norm_epsilon must be a number"),
        ({"norm_epsilon": float("nan")}, "norm_epsilon must be a number"),
    ],
)
def test_other_values_are_refused(conventions: Any, message: str) -> None:
    with pytest.raises(NasError, match=message):
        network(32, **conventions)
