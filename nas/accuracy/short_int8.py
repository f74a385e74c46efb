"""Evaluate a trained network in int8, after post-training quantization with fixed settings."""

from nas.exporting.int8.qdq import to_qdq
from nas.exporting.int8.ranges import grid_of
from nas.exporting.onnx import to_onnx
from nas.network.checkpoint import Checkpoint
from nas.training.data import Data
from nas.training.int8.calibration import calibrate
from nas.training.int8.choice import Settings, calibration_images
from nas.training.int8.quantize import score_graph
from nas.training.trained import as_trained

CALIBRATION = "mse"
"""`nas quantize` tries all calibrations; this one was closest most often (`experiments/int8`)."""


def score_in_int8(found: Checkpoint, data: Data, *, seed: int = 0) -> float:
    """Return the metric of a network in int8 on the validation images, run by onnxruntime.

    Raises:
        NasError: if calibration on training images yields no ranges.
    """
    settings = Settings(calibration=CALIBRATION, seed=seed)
    batches = calibration_images(found.arch, as_trained(found, data), settings)
    model = to_onnx(found.arch, found.weights, metadata=found.metadata)
    calibration = calibrate(model, batches)
    grids = {name: grid_of(one, by=CALIBRATION) for name, one in calibration.histograms.items()}
    return score_graph(found, data, to_qdq(model, grids, means=calibration.means))
