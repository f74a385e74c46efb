"""Walk over the operators of a network in the order of a graph.

A new kind of layer is a case in `_layer`; a new operator is a method in `Writer` and each writer.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from nas.core.errors import NasError
from nas.network.blocks import IMAGE, Architecture
from nas.network.detector import Detector, NmsSettings, plain_detector
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
from nas.network.lowering import ends, sources
from nas.network.weights import Weights, check_weights, join, random_weights

INPUT = "input"
OUTPUT = "logits"
BOX_NUMBERS, CLASS_SCORES = "box_numbers", "class_scores"
"""The outputs of a detector before they are decoded: see `nas.network.detector`."""

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

    def concat(self, maps: Sequence[V], name: str, layer: Concat) -> V:
        """Write the channels of several maps, one after the other."""

    def total(self, maps: Sequence[V], name: str, layer: Add) -> V:
        """Write the sum of several maps, and its activation."""

    def upsample(self, x: V, name: str, layer: Upsample) -> V:
        """Write the repetition of every pixel in both directions."""

    def maxpool(self, x: V, name: str, layer: MaxPool) -> V:
        """Write max-pooling; what is padded never is a maximum."""

    def split(self, x: V, name: str, layer: Split) -> V:
        """Write the choice of some channels."""

    def shuffle(self, x: V, name: str, layer: Shuffle) -> V:
        """Write the channels of two halves in turn."""

    def predictions(self, x: V, name: str, numbers: int) -> V:
        """Write maps as (batch, predictions, numbers), over rows, columns, then anchors."""

    def stack(self, values: Sequence[V], name: str) -> V:
        """Write the predictions of several maps, one after the other."""


def walk(
    units: Sequence[Unit], writer: Writer[V], x: V, more: Mapping[str, V] | None = None
) -> tuple[V, ...]:
    """Write units on `x`; return what those give that no other reads.

    A single one gives a vector where height and width are 1, otherwise they are maps. `more` are
    what else a unit alone reads, by name.
    """
    values, last = _values(units, writer, {IMAGE: x, **(more or {})}), ends(units)
    if len(last) == 1 and is_vector(last[0]):
        return (writer.flat(values[last[0].name], "flat"),)
    return tuple(writer.maps(values[unit.name], join(unit.name, "end")) for unit in last)


def input_name(place: str) -> str:
    """Return what the input of a graph is called: "input" for the image, "input.1" beside it."""
    return place.replace(IMAGE, INPUT, 1)


def is_vector(unit: Unit) -> bool:
    """Tell whether what `unit` gives has a height and a width of 1."""
    return unit.out_shape[1:] == (1, 1)


def walk_detector(
    units: Sequence[Unit], writer: Writer[V], x: V, detector: Detector
) -> tuple[V, V]:
    """Write the units of a detector on `x`; return its box numbers and scores, not yet decoded."""
    values = _values(units, writer, {IMAGE: x})

    def stacked(places: Sequence[str], numbers: int, name: str) -> V:
        parts = [writer.predictions(values[p], join(p, "predictions"), numbers) for p in places]
        return writer.stack(parts, name)

    boxes = stacked([level.boxes for level in detector.levels], detector.numbers, BOX_NUMBERS)
    scores = stacked([level.classes for level in detector.levels], detector.scores, CLASS_SCORES)
    return boxes, scores


def _values(units: Sequence[Unit], writer: Writer[V], given: Mapping[str, V]) -> dict[str, V]:
    """Write `units` on what is given, and return the value of each."""
    values = dict(given)
    for unit, names in sources(units):
        values[unit.name] = _unit(unit, writer, [values[name] for name in names])
    return values


def _unit(unit: Unit, writer: Writer[V], inputs: Sequence[V]) -> V:
    if len(inputs) > 1:
        return _joined(unit, writer, inputs)
    x = inputs[0]
    x = value = writer.maps(x, join(unit.name, "maps")) if unit.shortcut != "none" else x
    for layer in unit.layers:
        value = _layer(layer, writer, value, join(unit.name, layer.name))
    if unit.shortcut == "none":
        return value
    if unit.shortcut == "pool":
        x = writer.average(x, join(unit.name, "shortcut"), unit.block.stride)
    return writer.plus(x, value, join(unit.name, "add"))


def _joined(unit: Unit, writer: Writer[V], inputs: Sequence[V]) -> V:
    (layer,) = unit.layers
    name = join(unit.name, layer.name)
    if isinstance(layer, Concat):
        return writer.concat(inputs, name, layer)
    assert isinstance(layer, Add)  # nothing else joins
    return writer.total(inputs, name, layer)


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
    return _moved(layer, writer, x, name)


def _moved(layer: Layer, writer: Writer[V], x: V, name: str) -> V:
    """Write a layer without weights; one that joins a single map."""
    match layer:
        case Upsample():
            return writer.upsample(x, name, layer)
        case MaxPool():
            return writer.maxpool(x, name, layer)
        case Split():
            return writer.split(x, name, layer)
        case Shuffle():
            return writer.shuffle(x, name, layer)
        case Concat():
            return writer.concat([x], name, layer)
        case Add():
            return writer.total([x], name, layer)
    raise AssertionError(layer)  # the others are written where they are met


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


def file_metadata(
    arch: Architecture, metadata: Mapping[str, str] | None, *, layout: str
) -> dict[str, str]:
    """Return the metadata of a graph of `arch`, and `metadata`.

    They are its fingerprint, name, resolution, and the `layout` of its input, as in "NCHW"; of a
    detector its coder, classes and anchors as JSON.
    """
    own = {
        "fingerprint": arch.fingerprint,
        "name": arch.name,
        "resolution": str(arch.resolution),
        "layout": layout,
    }
    detector = {"detector": json.dumps(plain_detector(arch.detector))} if arch.detector else {}
    return {**own, **detector, **(metadata or {})}


def box_metadata(nms: NmsSettings) -> dict[str, str]:
    """Return what a graph that ends in boxes says of them."""
    return {
        "boxes": "left, top, right, bottom in pixels of the input",
        "score_threshold": f"{nms.score:g}",
        "overlap_threshold": f"{nms.overlap:g}",
        "most_boxes": str(nms.most),
    }
