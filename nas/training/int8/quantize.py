"""Post-training quantization of a trained network, for onnxruntime."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.core.progress import Report
from nas.exporting.int8.qdq import SAME_GRID, WEIGHTED, Means, to_qdq
from nas.exporting.int8.ranges import WAYS, Grid, grid_of
from nas.exporting.onnx import detector_to_onnx, to_onnx
from nas.network.checkpoint import Checkpoint
from nas.training.batches import Batches
from nas.training.data import Data
from nas.training.fine_tune import some
from nas.training.int8.calibration import Calibration, calibrate
from nas.training.int8.runtime import RuntimeModel
from nas.training.tasks.find import task_of
from nas.training.trained import batches_for

BATCH = 32
CPU = torch.device("cpu")
_USUAL_SIDE = 224
"""Of larger images fewer are calibrated with at once, as all values in between are kept."""
_FEW = 256
"""Images that decide between ways to calibrate, and how sensitive layers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a network is quantized.

    `images` calibrate, of the training images, chosen by `seed`. `calibration` is a way of
    `nas.exporting.int8.ranges`, or "auto": the one whose graph is nearest to the float one. Layers
    stay in float, the most sensitive first, until the metric falls by `max_drop` at most on the
    validation images; 1 leaves none.
    """

    images: int = 128
    calibration: str = "auto"
    correct: bool = True
    max_drop: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.calibration not in ("auto", *WAYS):
            known = ", ".join(("auto", *WAYS))
            text = f"calibration must be one of {known}, not {self.calibration!r}"
            raise BadValue(text, "calibration")
        if not 0 <= self.max_drop <= 1:
            text = f"max_drop must be a fraction from 0 to 1, not {self.max_drop:g}"
            raise BadValue(text, "max_drop")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantized:
    """A graph in int8, beside the float one that it was made of.

    `before` and `after` are the metrics of both on the validation images, as onnxruntime runs them.
    `noise` is, for each layer, how far the outputs move if it alone is quantized: the squared error
    over the squared outputs, the mean over images. `floats` are the layers left in float. `grids`
    are those of all values, `means` those of their channels, by which biases were corrected.
    """

    float_model: onnx.ModelProto
    model: onnx.ModelProto
    metric: str
    before: float
    after: float
    calibration: str
    images: int
    noise: Mapping[str, float]
    floats: tuple[str, ...]
    grids: Mapping[str, Grid]
    means: Means


def quantize(
    found: Checkpoint, data: Data, settings: Settings, *, report: Report | None = None
) -> Quantized:
    """Quantize a trained network, after calibration on training images of `data`.

    Raises:
        NasError: if the data are others than those that it was trained for, too few, or give no
            ranges.
    """
    tell = report or (lambda done, total, note: None)
    batches = calibration_images(found, data, settings)
    model = to_onnx(found.arch, found.weights, metadata=found.metadata)
    tell(0, 4, "calibrating")
    calibration = calibrate(model, batches)
    judge = _Judge(model, np.concatenate(batches)[:_FEW])
    tell(1, 4, "choosing ranges")
    way = _chosen(model, calibration, settings, judge)
    grids = _grids(calibration, way)
    means = calibration.means if settings.correct else {}

    def graph(floats: Sequence[str]) -> onnx.ModelProto:
        return to_qdq(model, grids, floats=floats, means=means)

    tell(2, 4, "how sensitive layers are")
    noise = _noise(model, grids, judge)
    tell(3, 4, "validating")
    before = score_graph(found, data, model)
    after, floats = score_graph(found, data, graph(())), tuple[str, ...]()
    order = sorted(noise, key=lambda name: -noise[name])
    if before - after > settings.max_drop:
        after, floats = _with_floats(found, data, graph, order, before - settings.max_drop)
    return Quantized(
        float_model=model,
        model=graph(floats),
        metric=task_of(found.arch).metric,
        before=before,
        after=after,
        calibration=way,
        images=calibration.images,
        noise=noise,
        floats=floats,
        grids=grids,
        means=means,
    )


def finished(found: Checkpoint, quantized: Quantized) -> onnx.ModelProto:
    """Return the graph to deploy: that of a detector ends in boxes."""
    if found.arch.detector is None:
        return quantized.model
    whole = detector_to_onnx(found.arch, found.weights, metadata=found.metadata)
    return to_qdq(whole, quantized.grids, floats=quantized.floats, means=quantized.means)


Graph = Callable[[Sequence[str]], onnx.ModelProto]
"""Gives the int8 graph in which some layers stay in float."""


@dataclass(slots=True)
class _Judge:
    """How far the outputs of a graph are from those of the float one, on some images.

    It is the mean over images of the squared error over the squared outputs, at most 1 each, so
    that a few odd images do not decide.
    """

    images: NDArray[np.float32]
    wanted: NDArray[np.float64]

    def __init__(self, model: onnx.ModelProto, images: NDArray[np.float32]) -> None:
        self.images = images
        self.wanted = self._outputs(model)

    def __call__(self, model: onnx.ModelProto) -> float:
        error = ((self._outputs(model) - self.wanted) ** 2).sum(axis=1)
        size = np.maximum((self.wanted**2).sum(axis=1), 1e-12)
        return float(np.minimum(error / size, 1.0).mean())

    def _outputs(self, model: onnx.ModelProto) -> NDArray[np.float64]:
        session = RuntimeModel(model).session
        parts = [
            np.concatenate([out.reshape(len(images), -1) for out in outputs], axis=1)
            for images in np.array_split(self.images, -(-len(self.images) // BATCH))
            for outputs in [session.run(None, {session.get_inputs()[0].name: images})]
        ]
        return np.asarray(np.concatenate(parts), np.float64)


def calibration_images(
    found: Checkpoint, data: Data, settings: Settings
) -> list[NDArray[np.float32]]:
    """Return batches of training images, normalised as in the training, not augmented."""
    batch = max(1, int(BATCH * (_USUAL_SIDE / found.arch.resolution) ** 2))
    batches = batches_for(found, data, split="val", device=CPU, batch=min(batch, BATCH))
    count = min(settings.images, len(data.train))
    rows = np.random.default_rng(settings.seed).choice(len(data.train), count, replace=False)
    chosen: Batches = replace(batches, images=some(data.train, np.sort(rows)))
    return [pixels.contiguous().numpy() for pixels, _ in chosen]


def _chosen(
    model: onnx.ModelProto, calibration: Calibration, settings: Settings, judge: _Judge
) -> str:
    """Return the way to calibrate whose graph is nearest to the float one."""
    if settings.calibration != "auto":
        return settings.calibration
    means = calibration.means if settings.correct else {}
    return min(WAYS, key=lambda way: judge(to_qdq(model, _grids(calibration, way), means=means)))


def _grids(calibration: Calibration, way: str) -> dict[str, Grid]:
    return {name: grid_of(found, by=way) for name, found in calibration.histograms.items()}


def _noise(model: onnx.ModelProto, grids: Mapping[str, Grid], judge: _Judge) -> dict[str, float]:
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
            noise[node.output[0]] = judge(to_qdq(model, alone, floats=others))
    return noise


def _with_floats(
    found: Checkpoint, data: Data, graph: Graph, order: Sequence[str], wanted: float
) -> tuple[float, tuple[str, ...]]:
    """Return the metric with the fewest of the layers in `order` in float that reach `wanted`."""
    scored: dict[int, float] = {}

    def reached(count: int) -> bool:
        scored[count] = score_graph(found, data, graph(order[:count]))
        return scored[count] >= wanted

    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    after = scored[high] if high in scored else score_graph(found, data, graph(order[:high]))
    return after, tuple(order[:high])


def score_graph(found: Checkpoint, data: Data, model: onnx.ModelProto) -> float:
    """Return the metric of a graph on the validation images, as onnxruntime runs it."""
    batches = batches_for(found, data, split="val", device=CPU, batch=BATCH)
    runtime: Any = RuntimeModel(model)
    return task_of(found.arch).score(runtime, batches).value
