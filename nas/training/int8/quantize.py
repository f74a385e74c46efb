"""Post-training quantization of a trained network, judged as onnxruntime runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx

from nas.core.progress import Report
from nas.exporting.int8.calibrated import Calibrated
from nas.exporting.int8.correction import Means
from nas.exporting.int8.equalise import equalised, pairs_of
from nas.exporting.int8.io_types import with_io_types
from nas.exporting.int8.qdq import SAME_GRID, WEIGHTED, to_qdq
from nas.exporting.int8.ranges import FLOAT_IO, IOTypes, QuantizationGrid
from nas.exporting.onnx import detector_to_onnx, to_onnx
from nas.network.checkpoint import Checkpoint
from nas.training.data import Data
from nas.training.int8.choice import (
    BATCH,
    CPU,
    Batch,
    CalibratedRanges,
    OutputDistance,
    QuantizationSettings,
    calibration_images,
    choose,
    learned,
    output_distance,
)
from nas.training.int8.runtime import RuntimeModel
from nas.training.tasks.find import task_of
from nas.training.trained import as_trained, batches_for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantized:
    """A graph in int8, beside the float one that it was made of.

    `network` is what is written as bytes: the trained one, or what computes the same with channels
    `equalised`.
    `before` and `after` are the metrics of both on the validation images, as the runtime has them.
    `noise` is, for each layer, how far the outputs move if it alone is quantized: the squared error
    over the squared outputs, the mean over images. `floats` are the layers left in float. `grids`
    are those of all values, `means` those of their channels, by which biases were corrected.
    """

    network: Checkpoint
    float_model: onnx.ModelProto
    model: onnx.ModelProto
    metric: str
    before: float
    after: float
    calibration: str
    equalised: bool
    images: int
    noise: Mapping[str, float]
    floats: tuple[str, ...]
    grids: Mapping[str, QuantizationGrid]
    means: Means

    def calibrated(self, io_types: IOTypes = FLOAT_IO) -> Calibrated:
        """Return what a graph that takes and gives `io_types` is written by."""
        return Calibrated(grids=self.grids, means=self.means, io_types=io_types, floats=self.floats)


def quantize(
    found: Checkpoint, data: Data, settings: QuantizationSettings, *, report: Report | None = None
) -> Quantized:
    """Quantize a trained network, after calibration on training images of `data`.

    Raises:
        NasError: if the data are others than those that it was trained for, too few, or give no
            ranges.
    """
    tell = report or (lambda done, total, note: None)
    batches = calibration_images(found.arch, as_trained(found, data), settings)
    plain = _graph(found)
    distance_to_float = output_distance(plain, batches)
    tell(0, 3, "choosing ranges")
    network, chosen = _chosen(found, batches, settings, distance_to_float)
    model, grids, means = _graph(network), chosen.grids, chosen.means

    def graph(floats: Sequence[str]) -> onnx.ModelProto:
        return to_qdq(model, grids, floats=floats, means=means)

    tell(1, 3, "how sensitive layers are")
    noise = _noise(model, grids, distance_to_float)
    tell(2, 3, "validating")
    before = score_graph(found, data, plain)
    whole = graph(())
    made = Quantized(
        network=network,
        float_model=plain,
        model=whole,
        metric=task_of(found.arch).metric,
        before=before,
        after=score_graph(found, data, whole),
        calibration=chosen.method,
        equalised=network is not found,
        images=chosen.images,
        noise=noise,
        floats=(),
        grids=grids,
        means=means,
    )
    kept = within(made, settings.max_drop, lambda names: score_graph(found, data, graph(names)))
    return replace(kept, model=graph(kept.floats))


def _graph(found: Checkpoint) -> onnx.ModelProto:
    return to_onnx(found.arch, found.weights, metadata=found.metadata)


def _chosen(
    found: Checkpoint,
    batches: Sequence[Batch],
    settings: QuantizationSettings,
    distance_to_float: OutputDistance,
) -> tuple[Checkpoint, CalibratedRanges]:
    """Return the network to write as bytes, equalised if that is nearer, and its grids."""
    if found.ranges and settings.calibration == "auto":
        return found, learned(found)
    graph = _graph(found)
    chosen = choose(graph, batches, settings, distance_to_float)
    pairs = pairs_of(graph) if settings.equalise else ()
    if not pairs:
        return found, chosen
    other = replace(found, weights=equalised(found.weights, pairs))
    nearer = choose(_graph(other), batches, settings, distance_to_float)
    return (other, nearer) if nearer.distance < chosen.distance else (found, chosen)


def finished(quantized: Quantized, io_types: IOTypes = FLOAT_IO) -> onnx.ModelProto:
    """Return the graph to deploy: that of a detector ends in boxes.

    Raises:
        NasError: if an end is to be bytes, and its layer stays in float.
    """
    found = quantized.network
    if found.arch.detector is None:
        return with_io_types(quantized.model, io_types)
    whole = detector_to_onnx(found.arch, found.weights, metadata=found.metadata)
    graph = to_qdq(whole, quantized.grids, floats=quantized.floats, means=quantized.means)
    return with_io_types(graph, io_types)


def _noise(
    model: onnx.ModelProto, grids: Mapping[str, QuantizationGrid], distance_to_float: OutputDistance
) -> dict[str, float]:
    """Return how far the outputs move if each layer alone is quantized, with what it reads."""
    noise = {}
    moved = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type in SAME_GRID}
    for node in model.graph.node:
        source = node.input[0]
        while source in moved:
            source = moved[source]
        if node.op_type in WEIGHTED and source in grids:
            alone = {source: grids[source]}
            others = [n.output[0] for n in model.graph.node if n is not node]
            noise[node.output[0]] = distance_to_float(to_qdq(model, alone, floats=others))
    return noise


Score = Callable[[Sequence[str]], float]
"""Gives the metric of the int8 graph in which some layers stay in float."""


def within(made: Quantized, max_drop: float, score: Score) -> Quantized:
    """Return `made`, in int8 throughout, with layers in float where it drops by more than that."""
    if made.before - made.after <= max_drop:
        return made
    order = sorted(made.noise, key=lambda name: -made.noise[name])
    after, floats = _fewest_floats(score, order, made.before - max_drop)
    return replace(made, after=after, floats=floats)


def _fewest_floats(
    score: Score, order: Sequence[str], wanted: float
) -> tuple[float, tuple[str, ...]]:
    """Return the metric with the fewest of the layers in `order` in float that reach `wanted`."""
    scored: dict[int, float] = {}

    def reached(count: int) -> bool:
        scored[count] = score(order[:count])
        return scored[count] >= wanted

    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    after = scored[high] if high in scored else score(order[:high])
    return after, tuple(order[:high])


def score_graph(
    found: Checkpoint, data: Data, model: onnx.ModelProto, *, split: str = "val"
) -> float:
    """Return the metric of a graph on the images of a split, as onnxruntime runs it."""
    batches = batches_for(found, data, split=split, device=CPU, batch=BATCH)
    runtime: Any = RuntimeModel(model)
    return task_of(found.arch).score(runtime, batches).value
