"""Choose the ranges in which the values of a network are written as bytes, on training images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.exporting.int8.correction import Means
from nas.exporting.int8.qdq import to_qdq
from nas.exporting.int8.ranges import METHODS, QuantizationGrid, grid_of
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.training.data import Data, subset
from nas.training.evaluate import in_order
from nas.training.int8.calibration import calibrate
from nas.training.int8.runtime import RuntimeModel

BATCH = 32
CPU = torch.device("cpu")
_USUAL_SIDE = 224
"""Of larger images fewer are calibrated with at once, as all values in between are kept."""
_FEW = 256
"""Images that decide between ways to calibrate, and how sensitive layers are."""
LEARNED = "training"
"""What ranges were chosen by that a network was trained with."""

Batch = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationSettings:
    """How a network is quantized.

    `images` calibrate, of the training images, chosen by `seed`. `calibration` is a method of
    `nas.exporting.int8.ranges`, or "auto": the one whose graph is nearest to the float one.
    `correct` corrects biases, and `equalise` equalises layers, where that graph is nearer. Layers
    stay in float, the most sensitive first, until the metric falls by `max_drop` at most on the
    validation images; 1 leaves none.
    """

    images: int = 128
    calibration: str = "auto"
    correct: bool = True
    equalise: bool = True
    max_drop: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.calibration not in ("auto", *METHODS):
            known = ", ".join(("auto", *METHODS))
            text = f"calibration must be one of {known}, not {self.calibration!r}"
            raise BadValue(text, "calibration")
        if not 0 <= self.max_drop <= 1:
            text = f"max_drop must be a fraction from 0 to 1, not {self.max_drop:g}"
            raise BadValue(text, "max_drop")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibratedRanges:
    """The grids of all values, and the method that chose them, on so many `images`.

    `distance` is how far their graph is from the float one. `means` are those of the channels of
    values, by which biases are to be corrected.
    """

    grids: Mapping[str, QuantizationGrid]
    means: Means
    method: str
    images: int
    distance: float = 0.0


@dataclass(slots=True)
class OutputDistance:
    """How far the outputs of a graph are from those of the float one, on some images.

    It is the mean over images of the squared error over the squared outputs, at most 1 each, so
    that a few odd images do not decide.
    """

    images: NDArray[np.float32]
    wanted: NDArray[np.float64]

    def __init__(self, model: onnx.ModelProto, images: NDArray[np.float32]) -> None:
        """Compare with `model` on `images`."""
        self.images = images
        self.wanted = self._outputs(model)

    def __call__(self, model: onnx.ModelProto) -> float:
        """Return how far `model` is."""
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


def choose(
    model: onnx.ModelProto,
    batches: Sequence[Batch],
    settings: QuantizationSettings,
    distance_to_float: OutputDistance,
) -> CalibratedRanges:
    """Return the grids for the values of a float graph, calibrated with batches of images.

    Raises:
        NasError: as `calibrate` does.
    """
    calibration = calibrate(model, batches)
    means = calibration.means if settings.correct else {}

    def grids(method: str) -> dict[str, QuantizationGrid]:
        return {name: grid_of(found, by=method) for name, found in calibration.histograms.items()}

    def distance(method: str, means: Means) -> float:
        return distance_to_float(to_qdq(model, grids(method), means=means))

    methods = METHODS if settings.calibration == "auto" else (settings.calibration,)
    distances = {method: distance(method, means) for method in methods}
    method = min(distances, key=distances.__getitem__)
    nearest = distances[method]
    if means and (plain := distance(method, {})) < nearest:
        means, nearest = {}, plain
    return CalibratedRanges(
        grids=grids(method), means=means, method=method, images=calibration.images, distance=nearest
    )


def output_distance(model: onnx.ModelProto, batches: Sequence[Batch]) -> OutputDistance:
    """Return how far graphs are from `model` on the first of some images."""
    return OutputDistance(model, np.concatenate(batches)[:_FEW])


def learned(found: Checkpoint) -> CalibratedRanges:
    """Return the grids that a network was trained with, whose biases need no correction."""
    grids = {name: QuantizationGrid.of(*ends) for name, ends in found.ranges.items()}
    return CalibratedRanges(grids=grids, means={}, method=LEARNED, images=0)


def calibration_images(
    arch: Architecture, data: Data, settings: QuantizationSettings
) -> list[Batch]:
    """Return batches of training images for `arch`, normalised as `data` says, not augmented."""
    batch = max(1, min(BATCH, int(BATCH * (_USUAL_SIDE / arch.resolution) ** 2)))
    count = min(settings.images, len(data.train))
    rows = np.random.default_rng(settings.seed).choice(len(data.train), count, replace=False)
    images = subset(data.train, np.sort(rows))
    batches = in_order(images, data, side=arch.resolution, batch=batch, device=CPU)
    return [pixels.contiguous().numpy() for pixels, _ in batches]
