"""Equalise the channels between two layers of a float network, which stays what it computes.

Where one layer is followed by another, with ReLU between them or nothing, channel i of the first
may be divided by any s_i > 0 if the second multiplies it back. With s_i the root of the ratio of
their largest weights both have the same, and so no channel is rounded to nothing by the scale of
another one (Nagel et al., 2019, section 4.1). Weights with a scale for each output channel gain in
the second layer alone; values gain too, since those of one map share a range.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.network.weights import Array, Weights

if TYPE_CHECKING:
    import onnx

_ROUNDS = 10
_MOST = 100.0
"""How far a channel is scaled at most, in one round."""
_TINY = 1e-9
_SCALED = ("Conv", "Gemm")
_PASSING = ("Relu", "Flatten", "Unsqueeze", "GlobalAveragePool")
"""Operators that scale with what they read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two layers by the names of their weights; the second reads what the first gives."""

    first: str
    second: str


def pairs_of(model: "onnx.ModelProto") -> tuple[Pair, ...]:
    """Return the layers of `model` that may be equalised, in the order of execution.

    What lies between them is read by nothing else, and is ReLU, a mean, or nothing.
    """
    nodes = list(model.graph.node)
    reads = Counter(name for node in nodes for name in node.input)
    reads.update(output.name for output in model.graph.output)
    makers = {node.output[0]: node for node in nodes}
    return tuple(_pairs(nodes, reads, makers))


def _pairs(
    nodes: Sequence["onnx.NodeProto"],
    reads: Mapping[str, int],
    makers: Mapping[str, "onnx.NodeProto"],
) -> Iterator[Pair]:
    for node in nodes:
        if node.op_type not in _SCALED:
            continue
        source = makers.get(node.input[0])
        while source is not None and reads[source.output[0]] == 1 and source.op_type in _PASSING:
            source = makers.get(source.input[0])
        if source is None or source.op_type not in _SCALED or reads[source.output[0]] > 1:
            continue
        yield Pair(first=_layer(source), second=_layer(node))


def _layer(node: "onnx.NodeProto") -> str:
    return str(node.input[1]).removesuffix(".weight")


def equalised(weights: Weights, pairs: Sequence[Pair]) -> dict[str, Array]:
    """Return `weights` with the channels between the layers of each pair equalised."""
    found = dict(weights)
    for _ in range(_ROUNDS):
        for pair in pairs:
            _equalise(found, pair)
    return found


def _equalise(weights: dict[str, Array], pair: Pair) -> None:
    """Give both layers of a pair the same largest weight in each channel between them, in place."""
    second = weights[f"{pair.second}.weight"]
    ours = _peaks(_folded(weights, pair.first), axis=0)
    depthwise = second.ndim == 4 and second.shape[1] == 1 and len(second) == len(ours)
    axis = 0 if depthwise else 1
    if second.shape[axis] != len(ours):  # groups of another size
        return
    theirs = _peaks(_folded(weights, pair.second), axis=axis)
    some = (ours > _TINY) & (theirs > _TINY)
    ratio = np.sqrt(np.maximum(ours, _TINY) / np.maximum(theirs, _TINY))
    scale = np.where(some, ratio.clip(1 / _MOST, _MOST), 1.0)
    normalised = f"{pair.first}.norm.weight" in weights
    for name in ("norm.weight", "norm.bias") if normalised else ("weight", "bias"):
        key = f"{pair.first}.{name}"
        weights[key] = (weights[key] / _along(scale, weights[key].ndim, 0)).astype(np.float32)
    _multiply(weights, pair.second, scale, axis)


def _multiply(weights: dict[str, Array], layer: str, scale: Array, axis: int) -> None:
    key = f"{layer}.weight"
    weights[key] = (weights[key] * _along(scale, weights[key].ndim, axis)).astype(np.float32)


def _folded(weights: Weights, layer: str) -> Array:
    """Return the weights of a layer as they are after its normalisation."""
    weight = weights[f"{layer}.weight"]
    if f"{layer}.norm.weight" not in weights:
        return weight
    factor = weights[f"{layer}.norm.weight"] / np.sqrt(weights[f"{layer}.norm.running_var"] + 1e-5)
    return np.asarray(weight * _along(factor, weight.ndim, 0), np.float32)


def _peaks(weight: Array, *, axis: int) -> Array:
    """Return the largest weight of each channel of `axis`."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    return np.asarray(np.abs(weight).max(axis=others), np.float64)


def _along(values: Array, dimensions: int, axis: int) -> Array:
    return values.reshape([-1 if i == axis else 1 for i in range(dimensions)])
