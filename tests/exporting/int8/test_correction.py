"""Biases correct the shift of output means by rounding."""

import numpy as np
import pytest

from nas.exporting._tflite_writer import TfliteWriter
from nas.exporting.int8.calibrated import Calibrated
from nas.exporting.int8.correction import bias_shift
from nas.exporting.int8.ranges import QuantizationGrid
from nas.network.layers import Conv


def test_the_shift_is_the_error_times_the_means() -> None:
    error = np.array([[[[0.1, 0.2]], [[-0.1, 0.0]]]])  # one output, two inputs, a 1x2 kernel
    assert bias_shift(error, np.array([2.0, 3.0])) == pytest.approx([0.3])


def test_depthwise_channels_have_means_of_their_own() -> None:
    error = np.array([[[[0.1]]], [[[0.2]]]])
    assert bias_shift(error, np.array([2.0, 3.0])) == pytest.approx([0.2, 0.6])


def test_without_means_nothing_is_shifted() -> None:
    assert bias_shift(np.ones((2, 4, 1, 1)), None) == 0
    assert bias_shift(np.ones((4, 2, 1, 1)), np.ones(8)) == 0  # groups


@pytest.mark.parametrize("groups", [1, 4])
def test_a_tflite_bias_is_shifted_by_what_its_weights_lose(groups: int) -> None:
    layer = Conv(name="c", in_shape=(4, 8, 8), out_shape=(4, 8, 8), kernel=3, groups=groups)
    random = np.random.default_rng(0)
    value = random.standard_normal((4, 4 // groups, 3, 3)).astype(np.float32)
    weights = {"c.weight": value, "c.bias": np.zeros(4, np.float32)}
    means = np.array([1.0, -2.0, 3.0, 4.0])

    def bias(given: dict[str, np.ndarray]) -> np.ndarray:
        grids = {"input": QuantizationGrid(scale=1e-4, zero_point=0)}
        writer = TfliteWriter(
            weights, integer=True, calibrated=Calibrated(grids=grids, means=given)
        )
        writer.conv(writer.begin((1, 8, 8, 4)), "c", layer)
        (found,) = (one for one in writer.tensors if one.name == "c.bias")
        assert found.data is not None
        return found.data * np.array(found.scale)

    largest = np.abs(value).reshape(4, -1).max(axis=1).reshape(4, 1, 1, 1)
    error = value - np.rint(value * (127 / largest)) * largest / 127
    assert bias({"input": means}) - bias({}) == pytest.approx(bias_shift(error, means), abs=1e-4)
