"""Equalised networks compute the same, with equal weights on both sides of a channel."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nas.exporting.int8.equalise import Pair, equalised, pairs_of
from nas.exporting.onnx import units_to_onnx
from nas.network.lowering import lower_chain
from nas.network.weights import random_weights
from tests.exporting.int8.test_qdq import block, run

RELU = (block(act="relu", out_channels=12), block(act="relu", in_channels=12, out_channels=12))


def test_layers_with_relu_or_nothing_between_them_are_found() -> None:
    found = pairs_of(units_to_onnx(lower_chain(RELU, (8, 9, 9))))
    first = [
        Pair(first="0.expand", second="0.depthwise"),
        Pair(first="0.depthwise", second="0.project"),
    ]
    second = [
        Pair(first="1.expand", second="1.depthwise"),
        Pair(first="1.depthwise", second="1.project"),
    ]
    assert found == (*first, *second)  # a shortcut also reads the output of 0.project


@pytest.mark.parametrize("act", ["relu6", "hswish", "swish"])
def test_other_activations_are_left_alone(act: str) -> None:
    assert pairs_of(units_to_onnx(lower_chain((block(act=act),), (8, 9, 9)))) == ()


def test_squeeze_and_excitation_reads_too() -> None:
    units = lower_chain((block(act="relu", se_channels=4),), (8, 9, 9))
    found = pairs_of(units_to_onnx(units))
    assert found == (
        Pair(first="0.expand", second="0.depthwise"),
        Pair(first="0.squeeze.reduce", second="0.squeeze.expand"),
    )


def test_the_network_computes_the_same() -> None:
    units = lower_chain(RELU, (8, 9, 9))
    weights = random_weights(units)
    weights["0.expand.norm.weight"][:4] *= 50  # four wide channels leave few steps to the others
    pairs = pairs_of(units_to_onnx(units))
    other = equalised(weights, pairs)
    images = np.random.default_rng(0).standard_normal((4, 8, 9, 9), np.float32)
    (wanted,), (found,) = (run(units_to_onnx(units, w), images) for w in (weights, other))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())

    def spread(w: dict[str, np.ndarray]) -> float:
        peaks = np.abs(w["0.expand.norm.weight"][:, None] * w["0.expand.weight"][:, :, 0, 0]).max(1)
        return float(peaks.max() / np.median(peaks))

    assert spread(other) < spread(weights) / 5
