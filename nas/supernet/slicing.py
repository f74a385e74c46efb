"""The weights of one network, as parts of those that the networks of a space share.

Leading channels and the centre of kernels are taken. With transforms, a kernel is the centre of the
next larger one times a matrix of its own, as in Once-for-All (Cai et al., 2020).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Squeeze
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, join
from nas.supernet.layers import key_of

_STATISTICS = ("weight", "bias", "running_mean", "running_var")
TRANSFORM = "to"
"""The matrix "to5" of a layer makes kernels of 5x5 of larger ones, shape (25, 25)."""

Find = Callable[[str], Any]
"""From the name of a tensor of a shared layer to the tensor, None where there is no such one.

It is an array of numpy or of torch; what is cut out of one of torch passes gradients on.
"""


def subnet_weights(shared: Weights, arch: Architecture) -> Weights:
    """Return the weights of `arch`, a network of the space, out of the `shared` ones.

    Their running statistics are those of the largest network: they have to be measured again.

    Raises:
        NasError: if a layer of `arch` is none of the shared ones, or larger than these.
    """
    found: dict[str, Array] = {}
    for unit in lower(arch):
        for layer in unit.layers:
            name, key = join(unit.name, layer.name), key_of(unit, layer)
            for part, value in sliced(layer, partial(_find, shared, key)).items():
                found[join(name, part)] = np.ascontiguousarray(value, np.float32)
    return found


def _find(shared: Weights, key: str, part: str) -> Array | None:
    return shared.get(join(key, part))


def sliced(layer: Layer, find: Find) -> dict[str, Any]:
    """Return the tensors of `layer`, by their names in it, out of those that `find` gives."""
    match layer:
        case Conv():
            return _conv(layer, find)
        case Squeeze():
            inner, width = layer.channels, layer.shape[0]
            return {
                "reduce.weight": _leading(find, "reduce.weight", inner, width),
                "reduce.bias": _leading(find, "reduce.bias", inner),
                "expand.weight": _leading(find, "expand.weight", width, inner),
                "expand.bias": _leading(find, "expand.bias", width),
            }
        case Linear():
            return {
                "weight": _leading(find, "weight", layer.out_features, layer.in_features),
                "bias": _leading(find, "bias", layer.out_features),
            }
    return {}


def _conv(layer: Conv, find: Find) -> dict[str, Any]:
    outputs, inputs = layer.out_shape[0], layer.in_shape[0] // layer.groups
    weight = _leading(find, "weight", outputs, inputs)
    parts = [f"norm.{name}" for name in _STATISTICS] if layer.norm else ["bias"]
    return {
        "weight": _smaller(weight, layer.kernel, find),
        **{part: _leading(find, part, outputs) for part in parts},
    }


def _leading(find: Find, part: str, *sizes: int) -> Any:
    """Return the leading elements of a tensor along its first axes."""
    whole = find(part)
    if whole is None or any(n > m for n, m in zip(sizes, whole.shape, strict=False)):
        has = "nothing" if whole is None else "x".join(map(str, whole.shape))
        wanted = "x".join(map(str, sizes))
        raise NasError(f"the supernet has {has} where the network needs {part} of {wanted}")
    return whole[tuple(slice(n) for n in sizes)]


def _smaller(weight: Any, kernel: int, find: Find) -> Any:
    """Return the filters with a kernel of the size `kernel`."""
    if weight.shape[-1] < kernel:
        side = weight.shape[-1]
        raise NasError(f"the supernet has kernels of {side} where the network needs {kernel}")
    for size in range(weight.shape[-1] - 2, kernel - 1, -2):
        matrix = find(f"{TRANSFORM}{size}")
        if matrix is not None:
            centre = _centre(weight, size)
            weight = (centre.reshape(-1, size * size) @ matrix).reshape(centre.shape)
    return _centre(weight, kernel)


def _centre(weight: Any, kernel: int) -> Any:
    border = (weight.shape[-1] - kernel) // 2
    return weight[:, :, border : border + kernel, border : border + kernel]
