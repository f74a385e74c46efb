"""Walk over the operators of a network in the order of a graph.

A new kind of layer is a case in `_layer`; a new operator is a method in `Writer` and each writer.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Pool, Squeeze, Unit
from nas.network.weights import Weights, check_weights, join, random_weights

INPUT = "input"
OUTPUT = "logits"

V = TypeVar("V")
"""A value of a writer's graph."""


class Writer(Protocol[V]):
    """Writes operators by their names, which are also those of their weights."""

    def flat(self, x: V, name: str) -> V:
        """Return `x` as (batch, features), itself if it is that."""

    def maps(self, x: V, name: str) -> V:
        """Return `x` as maps of height and width 1, itself if it has both."""

    def conv(self, x: V, name: str, layer: Conv) -> V:
        """Write a convolution with its normalisation folded in, and its activation."""

    def linear(self, x: V, name: str, layer: Linear) -> V:
        """Write a fully connected layer, and its activation."""

    def mean(self, x: V, name: str) -> V:
        """Write the mean over height and width, which become 1."""

    def average(self, x: V, name: str, stride: int) -> V:
        """Write the 3x3 average pooling of a shortcut; what is padded does not count."""

    def plus(self, x: V, y: V, name: str) -> V:
        """Write the sum of a shortcut and a unit."""

    def times(self, x: V, gate: V, name: str) -> V:
        """Write the product of maps and a number for each of their channels."""


def walk(units: Sequence[Unit], writer: Writer[V], x: V) -> V:
    """Write consecutive units on `x`; return a vector where height and width are 1, else maps."""
    for unit in units:
        x = _unit(unit, writer, x)
    return writer.flat(x, "flat") if units[-1].out_shape[1:] == (1, 1) else x


def _unit(unit: Unit, writer: Writer[V], x: V) -> V:
    x = value = writer.maps(x, join(unit.name, "maps")) if unit.shortcut != "none" else x
    for layer in unit.layers:
        value = _layer(layer, writer, value, join(unit.name, layer.name))
    if unit.shortcut == "none":
        return value
    if unit.shortcut == "pool":
        x = writer.average(x, join(unit.name, "shortcut"), unit.block.stride)
    return writer.plus(x, value, join(unit.name, "add"))


def _layer(layer: Layer, writer: Writer[V], x: V, name: str) -> V:
    if isinstance(layer, Linear):
        return writer.linear(writer.flat(x, f"{name}.flat"), name, layer)
    x = writer.maps(x, f"{name}.maps")
    match layer:
        case Conv():
            return writer.conv(x, name, layer)
        case Squeeze():
            whole, inner = (layer.shape[0], 1, 1), (layer.channels, 1, 1)
            gate = writer.mean(x, f"{name}.pool")
            for conv in (
                Conv(name="reduce", in_shape=whole, out_shape=inner, act=layer.act),
                Conv(name="expand", in_shape=inner, out_shape=whole, act=layer.gate),
            ):
                gate = writer.conv(gate, join(name, conv.name), conv)
            return writer.times(x, gate, name)
        case Pool():
            return writer.mean(x, name)


def prepared(
    units: Sequence[Unit], weights: Weights | None, *, seed: int, batch: int | None, form: str
) -> Weights:
    """Return the weights of a graph in the format `form`: what is given, or else random ones.

    Raises:
        NasError: if there are no units, two of them have the same name, the batch size is not
            positive, or a weight is missing, unknown, or of another shape.
    """
    if not units:
        raise NasError("there are no units to write as a graph")
    if batch is not None and batch < 1:
        raise NasError(f"the batch size of {form} graph must be 1 or more, not {batch}")
    weights = random_weights(units, seed=seed) if weights is None else weights
    check_weights(units, weights)
    return weights


def facts(arch: Architecture, metadata: Mapping[str, str] | None, *, layout: str) -> dict[str, str]:
    """Return the metadata of a graph of `arch`, and `metadata`.

    They are its fingerprint, name, resolution, and the `layout` of its input, as in "NCHW".
    """
    own = {
        "fingerprint": arch.fingerprint,
        "name": arch.name,
        "resolution": str(arch.resolution),
        "layout": layout,
    }
    return {**own, **(metadata or {})}
