"""The weights of units: names, shapes, random values and checks, without torch.

The names are those of the torch model's `state_dict`, without the batch counters.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.network.blocks import NORM_EPSILON
from nas.network.layers import Conv, Layer, Linear, Squeeze, Unit

Array = NDArray[np.float32]
Weights = Mapping[str, Array]
"""Weights and running statistics by name."""

_TILE = 4093
"""A prime, so that rows of weights differ; small enough for the window of a compressor."""

_STATISTICS = ("weight", "bias", "running_mean", "running_var")


def join(*names: str) -> str:
    """Return the non-empty `names` joined by dots."""
    return ".".join(name for name in names if name)


def weight_shapes(units: Sequence[Unit]) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every weight and running statistic of `units`, by name.

    Raises:
        NasError: if two units have the same name.
    """
    if len({unit.name for unit in units}) < len(units):
        raise NasError("units that share a graph need names of their own")
    return {
        join(unit.name, layer.name, name): shape
        for unit in units
        for layer in unit.layers
        for name, shape in layer_shapes(layer).items()
    }


def layer_shapes(layer: Layer) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every weight and running statistic of `layer` by its name in it."""
    match layer:
        case Conv(in_shape=(inputs, _, _), out_shape=(outputs, _, _), kernel=kernel):
            more = [f"norm.{name}" for name in _STATISTICS] if layer.norm else ["bias"]
            return {
                "weight": (outputs, inputs // layer.groups, kernel, kernel),
                **{name: (outputs,) for name in more},
            }
        case Squeeze(shape=(channels, _, _), channels=inner):
            return {
                "reduce.weight": (inner, channels, 1, 1),
                "reduce.bias": (inner,),
                "expand.weight": (channels, inner, 1, 1),
                "expand.bias": (channels,),
            }
        case Linear(in_features=inputs, out_features=outputs):
            return {"weight": (outputs, inputs), "bias": (outputs,)}
    return {}


def random_weights(units: Sequence[Unit], *, seed: int = 0) -> dict[str, Array]:
    """Return random weights that preserve the scale of the signal, with non-trivial statistics.

    Convolutions have variance 2 / fan-in before an activation and 1 / fan-in otherwise, so that
    zeros, infinities and denormal numbers do not distort measurements.
    """
    rng = np.random.default_rng(seed)
    linear = {
        join(unit.name, layer.name, "weight")
        for unit in units
        for layer in unit.layers
        if isinstance(layer, Conv | Linear) and layer.act == "none"
    }
    return {
        name: _draw(rng, name, shape, gain=1 if name in linear else 2)
        for name, shape in weight_shapes(units).items()
    }


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...], *, gain: int) -> Array:
    if name.endswith(("norm.weight", "running_var")):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    scale = 0.1 if len(shape) == 1 else sqrt(gain / prod(shape[1:]))
    return np.float32(scale) * rng.standard_normal(shape, np.float32)


def tiled_weights(units: Sequence[Unit]) -> dict[str, Array]:
    """Return weights that repeat a few thousand scaled random values, with identity normalisation.

    They compress well, and are meant for timing, which does not depend on the values.
    """
    pool = np.random.default_rng(0).standard_normal(_TILE).astype(np.float32)
    idle = {"norm.weight": 1.0, "running_var": 1.0 - NORM_EPSILON}
    weights = {}
    for name, shape in weight_shapes(units).items():
        if len(shape) == 1:
            value = next((v for end, v in idle.items() if name.endswith(end)), 0.0)
            weights[name] = np.full(shape, value, np.float32)
        else:
            weights[name] = np.resize(pool * np.float32(sqrt(2 / prod(shape[1:]))), shape)
    return weights


def check_weights(units: Sequence[Unit], weights: Weights) -> None:
    """Reject weights that do not fit `units` exactly.

    Raises:
        NasError: if a weight is missing, unknown, or has another shape.
    """
    shapes = weight_shapes(units)
    if missing := [name for name in shapes if name not in weights]:
        raise NasError(f"no weights for {missing[0]} (and {len(missing) - 1} more)")
    if unknown := [name for name in weights if name not in shapes]:
        raise NasError(f"weights for {unknown[0]}, which the network does not have")
    for name, shape in shapes.items():
        if np.shape(weights[name]) != shape:
            raise NasError(f"weights for {name} have shape {np.shape(weights[name])}, not {shape}")


def fingerprint(weights: Weights) -> str:
    """Return sixteen hex digits, equal for equal weights."""
    digest = sha256()
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name], np.float32)
        digest.update(f"{name} {value.shape} ".encode())
        digest.update(value.data)
    return digest.hexdigest()[:16]


def fold_norm(weights: Weights, name: str, layer: Conv | Linear) -> tuple[Array, Array]:
    """Return the weight and bias of the layer `name`, with its normalisation, if any, folded in.

    The arithmetic is in double precision.
    """
    if isinstance(layer, Linear) or f"{name}.norm.weight" not in weights:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]
    scale, bias, mean, variance = (
        np.asarray(weights[f"{name}.norm.{key}"], np.float64) for key in _STATISTICS
    )
    factor = scale / np.sqrt(variance + layer.epsilon)
    weight = weights[f"{name}.weight"] * factor[:, None, None, None]
    return weight.astype(np.float32), (bias - mean * factor).astype(np.float32)
