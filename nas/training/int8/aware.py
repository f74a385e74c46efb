"""Begin a training with quantization: with ranges from calibration, which it then learns."""

from collections.abc import Mapping

from nas.exporting.int8.qdq import written
from nas.exporting.onnx import to_onnx
from nas.models.build import Network
from nas.models.quantized import QuantizedNetwork
from nas.training.int8.choice import (
    QuantizationSettings,
    calibration_images,
    choose,
    output_distance,
)
from nas.training.job import TrainingJob

_ANY = (-1.0, 1.0)
"""The ranges of a training that is resumed, until those of its checkpoint are read."""


def quantized(model: Network, job: TrainingJob) -> QuantizedNetwork:
    """Return `model`, the network of `job` with the weights to begin with, quantized.

    Raises:
        NasError: if there are too few images to calibrate with, or a value has no range.
    """
    return QuantizedNetwork(model, job.arch, _ranges(job))


def _ranges(job: TrainingJob) -> Mapping[str, tuple[float, float]]:
    """Return the ranges to begin with, of the values that the int8 graph has as bytes."""
    weights = job.options.weights
    graph = to_onnx(job.arch, weights)
    values = written(graph)
    if weights is None:
        return dict.fromkeys(values, _ANY)
    settings = QuantizationSettings(correct=False, seed=job.seed)
    batches = calibration_images(job.arch, job.data, settings)
    chosen = choose(graph, batches, settings, output_distance(graph, batches))
    return {name: chosen.grids[name].range for name in values}
