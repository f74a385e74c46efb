"""Correct biases for what rounding weights does to the mean of each output channel."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Means = Mapping[str, NDArray[np.float64]]
"""The mean of each channel of a value, by its name in the ONNX graph."""


def bias_shift(
    error: NDArray[np.float64], means: NDArray[np.float64] | None
) -> NDArray[np.float64] | float:
    """Return what a weight's rounding takes from the mean of each output, to add to the bias.

    Bias correction (Nagel et al., 2019, section 4.2): `error` is the weight less its rounded form
    (outputs, inputs of a group, ...), `means` those of the input channels. It is 0 without means,
    and for groups of several channels.
    """
    if means is None:
        return 0.0
    per_input = error.reshape(*error.shape[:2], -1).sum(axis=2)
    if per_input.shape[1] == 1 and len(means) == len(per_input):  # depthwise
        return np.asarray(per_input[:, 0] * means)
    return np.asarray(per_input @ means) if per_input.shape[1] == len(means) else 0.0
