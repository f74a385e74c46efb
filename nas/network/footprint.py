"""What a network takes on a device: the bytes of its weights, and of its activations at most.

Normalisation is folded into the weights, as exported files have it. Operations are counted as a
simple runtime carries them out, one after the other: an operation's operands and its result are in
memory together, with what waits for a shortcut; activation functions work in place.
"""

from functools import reduce
from math import prod

import numpy as np

from nas.core.errors import unknown
from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Pool, Squeeze, Unit, lower

WEIGHT_BYTES = {"fp32": 4, "int8": 1}
"""Bytes of a weight or an activation; biases have four in either case."""
_BIAS_BYTES = 4
MB = 1e6


def weight_bytes(unit: Unit, dtype: str = "fp32") -> int:
    """Return the bytes of the weights and biases of a unit.

    Raises:
        UnknownName: if `dtype` is neither fp32 nor int8.
    """
    size = _size(dtype)
    counts = [_weights(layer) for layer in unit.layers]
    return sum(size * weights + _BIAS_BYTES * biases for weights, biases in counts)


def peak_bytes(unit: Unit, dtype: str = "fp32") -> int:
    """Return the most bytes of activations that a unit has in memory at once, for one image.

    Raises:
        UnknownName: if `dtype` is neither fp32 nor int8.
    """
    waiting = prod(unit.in_shape) if unit.shortcut != "none" else 0
    sizes = [_elements(layer) + (waiting if i else 0) for i, layer in enumerate(unit.layers)]
    if unit.shortcut == "pool":
        sizes.append(waiting + 2 * prod(unit.out_shape))
    if unit.shortcut != "none":
        sizes.append(3 * prod(unit.out_shape))
    most: int = reduce(np.maximum, sizes, 0)  # of units many at once, too
    return _size(dtype) * most


def size_mb(arch: Architecture, dtype: str = "fp32") -> float:
    """Return the megabytes (1e6 bytes) of the weights of `arch`, about those of its exports."""
    return sum(weight_bytes(unit, dtype) for unit in lower(arch)) / MB


def peak_mb(arch: Architecture, dtype: str = "fp32") -> float:
    """Return the most megabytes (1e6 bytes) that activations of one image take at once."""
    return float(max(peak_bytes(unit, dtype) for unit in lower(arch)) / MB)


def _size(dtype: str) -> int:
    if dtype not in WEIGHT_BYTES:
        raise unknown("dtype", dtype, WEIGHT_BYTES)
    return WEIGHT_BYTES[dtype]


def _weights(layer: Layer) -> tuple[int, int]:
    """Return the numbers of weights and of biases."""
    match layer:
        case Conv():
            inputs = layer.in_shape[0] // layer.groups
            return inputs * layer.out_shape[0] * layer.kernel**2, layer.out_shape[0]
        case Squeeze(shape=(channels, _, _), channels=inner):
            return 2 * channels * inner, channels + inner
        case Linear(in_features=inputs, out_features=outputs):
            return inputs * outputs, outputs
        case Pool():
            return 0, 0


def _elements(layer: Layer) -> int:
    """Return the elements of operands and result of the largest operation of a layer."""
    match layer:
        case Conv():
            return prod(layer.in_shape) + prod(layer.out_shape)
        case Squeeze():
            return 2 * prod(layer.shape) + layer.shape[0]
        case Linear():
            return layer.in_features + layer.out_features
        case Pool():
            return prod(layer.in_shape) + layer.in_shape[0]
