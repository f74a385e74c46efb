"""Evaluate a trained network in int8, after quantization with the closest calibration."""

from nas.exporting.int8.qdq import to_qdq
from nas.exporting.onnx import to_onnx
from nas.network.checkpoint import Checkpoint
from nas.training.data import Data
from nas.training.int8.choice import (
    QuantizationSettings,
    calibration_images,
    choose,
    output_distance,
)
from nas.training.int8.quantize import score_graph
from nas.training.trained import as_trained


def score_in_int8(found: Checkpoint, data: Data, *, seed: int = 0) -> float:
    """Return the metric of a network in int8 on the validation images, run by onnxruntime.

    Raises:
        NasError: if calibration on training images yields no ranges.
    """
    settings = QuantizationSettings(seed=seed)
    batches = calibration_images(found.arch, as_trained(found, data), settings)
    model = to_onnx(found.arch, found.weights, metadata=found.metadata)
    chosen = choose(model, batches, settings, output_distance(model, batches))
    return score_graph(found, data, to_qdq(model, chosen.grids, means=chosen.means))
