"""The memory a network takes on a device: bytes of its weights, and peak bytes of activations.

Normalisation is folded into the weights, as in exported files. The peak is that of a simple runtime
that executes operations one after the other: the operands and the result of an operation are in
memory together, with what waits for a shortcut; activation functions work in place.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from math import prod
from operator import add

import numpy as np

from nas.core.errors import unknown
from nas.network.blocks import IMAGE, Architecture
from nas.network.layers import (
    Add,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Pool,
    Shuffle,
    Split,
    Squeeze,
    Unit,
    Upsample,
)
from nas.network.lowering import lower, sources

WEIGHT_BYTES = {"fp32": 4, "int8": 1}
"""Bytes of a weight or an activation, by dtype; biases always take four."""
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
    """Return the peak bytes of activations of a unit, for one image.

    Raises:
        UnknownName: if `dtype` is neither fp32 nor int8.
    """
    waiting = prod(unit.in_shape) if unit.shortcut != "none" else 0
    sizes = [_elements(layer) + (waiting if i else 0) for i, layer in enumerate(unit.layers)]
    if unit.shortcut == "pool":
        sizes.append(waiting + 2 * prod(unit.out_shape))
    if unit.shortcut != "none":
        sizes.append(3 * prod(unit.out_shape))
    most: int = reduce(np.maximum, sizes, 0)  # works for units of arrays too
    return _size(dtype) * most


def size_mb(arch: Architecture, dtype: str = "fp32") -> float:
    """Return the megabytes (1e6 bytes) of the weights of `arch`, about the size of its exports."""
    return sum(weight_bytes(unit, dtype) for unit in lower(arch)) / MB


def peak_mb(arch: Architecture, dtype: str = "fp32") -> float:
    """Return the peak megabytes (1e6 bytes) of activations of `arch`, for one image."""
    units = lower(arch)
    waiting = [_size(dtype) * count for count in _waiting(arch, units)]
    peaks = (peak_bytes(unit, dtype) for unit in units)
    return float(max(map(add, peaks, waiting)) / MB)


def _waiting(arch: Architecture, units: Sequence[Unit]) -> Iterator[int]:
    """Yield, for every unit, the number of elements that it does not read but later units do."""
    outputs = arch.detector.outputs if arch.detector else {}
    last = {place: len(units) for place in outputs}
    for number, (_, names) in reversed(list(enumerate(sources(units)))):
        last |= {name: number for name in names if name not in last}
    sizes = {IMAGE: prod(units[0].in_shape)}
    for number, (unit, names) in enumerate(sources(units)):
        yield sum(s for n, s in sizes.items() if last[n] > number and n not in names)
        sizes = {n: s for n, s in sizes.items() if last[n] > number}
        sizes[unit.name] = prod(unit.out_shape)
        last.setdefault(unit.name, number + 1)


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
    return 0, 0


def _elements(layer: Layer) -> int:
    """Return the number of elements, operands and result, of a layer's largest operation."""
    match layer:
        case Conv() | Upsample() | MaxPool() | Split():
            return prod(layer.in_shape) + prod(layer.out_shape)
        case Concat():
            return 2 * prod(layer.out_shape)
        case Add():
            return (layer.terms + 1) * prod(layer.shape)
        case Shuffle():
            return 2 * prod(layer.shape)
        case Squeeze():
            return 2 * prod(layer.shape) + layer.shape[0]
        case Linear():
            return layer.in_features + layer.out_features
        case Pool():
            return prod(layer.in_shape) + layer.in_shape[0]
