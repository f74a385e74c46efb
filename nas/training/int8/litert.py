"""A .tflite file that LiteRT runs, in the place of a torch model; and an int8 one."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.core.errors import NasError, first_line
from nas.core.progress import Report
from nas.exporting.int8.ranges import FLOAT_IO, SIGN, IOTypes
from nas.exporting.tflite import detector_to_tflite, int8_to_tflite, to_tflite
from nas.exporting.walk import BOX_NUMBERS, CLASS_SCORES, INPUT, OUTPUT
from nas.network.checkpoint import Checkpoint
from nas.training.data import Data
from nas.training.int8.choice import BATCH, CPU, QuantizationSettings
from nas.training.int8.quantize import Quantized, quantize, within
from nas.training.int8.timing import ROUNDS, lower_quartiles
from nas.training.tasks.find import task_of
from nas.training.trained import batches_for

Floats = NDArray[np.float32]


class LiteRtModel(nn.Module):
    """Maps images to what the graph gives: logits, or the box numbers and scores of a detector."""

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        """Open an interpreter for a .tflite file.

        Raises:
            NasError: if LiteRT refuses it, as it does where it lacks an operator in int8.
        """
        super().__init__()
        try:
            self.interpreter = Interpreter(model_content=content, num_threads=threads)
        except (ValueError, RuntimeError) as error:
            raise NasError(f"LiteRT refuses the graph: {first_line(error)}") from None
        try:
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise NasError(_refusal(self.interpreter, str(error))) from None
        self.run = self.interpreter.get_signature_runner()
        names = set(self.run.get_output_details())
        self.names = (OUTPUT,) if OUTPUT in names else (BOX_NUMBERS, CLASS_SCORES)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the graph on each of (batch, channels, height, width)."""
        given = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        given = _as_taken(given, self.run.get_input_details()[INPUT])
        rows = [self.run(input=image[None]) for image in given]
        details = self.run.get_output_details()
        values = {
            n: _as_floats(np.concatenate([r[n] for r in rows]), details[n]) for n in self.names
        }
        found = [torch.from_numpy(value) for value in values.values()]
        return found[0] if len(found) == 1 else tuple(found)


def _as_taken(values: Floats, details: Mapping[str, Any]) -> NDArray[Any]:
    """Return floats as an input of a graph takes them: as they are, or as bytes."""
    if details["dtype"] is not np.int8:
        return values
    scale, zero = details["quantization"]
    steps: NDArray[np.int8] = np.clip(np.rint(values / scale) + zero, -SIGN, SIGN - 1).astype(
        np.int8
    )
    return steps


def _as_floats(values: NDArray[Any], details: Mapping[str, Any]) -> Floats:
    """Return what an output of a graph gives as floats."""
    if details["dtype"] is not np.int8:
        return values
    scale, zero = details["quantization"]
    return np.asarray(scale * (values.astype(np.float32) - zero), np.float32)


def _refusal(interpreter: Any, said: str) -> str:
    """Return the message for a graph that LiteRT refuses, with the layer if it says which."""
    line = " ".join(said.split())
    number = re.search(r"[Nn]ode number (\d+)", line)
    if number is None:
        return f"LiteRT refuses the graph: {line}"
    operator = interpreter._get_ops_details()[int(number[1])]
    names = {one["index"]: one["name"] for one in interpreter.get_tensor_details()}
    layer = names.get(int(operator["outputs"][0]), f"operator {number[1]}")
    return (
        f"LiteRT has no {operator['op_name']} as {layer} needs it; update ai-edge-litert, or use "
        f"`backend=onnxruntime`. It says: {line}"
    )


def quantize_for_litert(
    found: Checkpoint, data: Data, settings: QuantizationSettings, *, report: Report | None = None
) -> Quantized:
    """Quantize a trained network; metrics, and what layers stay in float, are by LiteRT.

    The ONNX graph of the result is in int8 throughout.

    Raises:
        NasError: as `quantize` does, and if LiteRT refuses the graph.
    """
    whole = quantize(found, data, replace(settings, max_drop=1.0), report=report)
    before, after = (score(found, data, content) for content in to_int8(found, whole))
    made = replace(whole, before=before, after=after)

    def scored(floats: Sequence[str]) -> float:
        _, content = to_int8(found, replace(made, floats=tuple(floats)))
        return score(found, data, content)

    return within(made, settings.max_drop, scored)


def to_int8(found: Checkpoint, quantized: Quantized) -> tuple[bytes, bytes]:
    """Return the .tflite files of float and int8 graphs, both of which end in logits or numbers."""
    plain = to_tflite(found.arch, found.weights, metadata=found.metadata)
    weights, calibrated = quantized.network.weights, quantized.calibrated()
    return plain, int8_to_tflite(found.arch, weights, calibrated, metadata=found.metadata)


def finished(quantized: Quantized, io_types: IOTypes = FLOAT_IO) -> bytes:
    """Return the file to deploy: that of a detector ends in boxes."""
    found, calibrated = quantized.network, quantized.calibrated(io_types)
    if found.arch.detector is None:
        return int8_to_tflite(found.arch, found.weights, calibrated, metadata=found.metadata)
    return detector_to_tflite(
        found.arch, found.weights, metadata=found.metadata, calibrated=calibrated
    )


def score(found: Checkpoint, data: Data, content: bytes, *, split: str = "val") -> float:
    """Return the metric of a .tflite file on the images of a split, as LiteRT runs it."""
    batches = batches_for(found, data, split=split, device=CPU, batch=BATCH)
    return task_of(found.arch).score(LiteRtModel(content), batches).value


def milliseconds(
    files: Sequence[bytes], shape: tuple[int, int, int], *, rounds: int = ROUNDS
) -> tuple[float, ...]:
    """Return the lower quartile of times of each of `files` on an image, in turns, one thread."""
    opened = [LiteRtModel(content).interpreter for content in files]
    channels, height, width = shape
    image = np.random.default_rng(0).standard_normal((1, height, width, channels), np.float32)
    for interpreter in opened:
        (details,) = interpreter.get_input_details()
        interpreter.set_tensor(details["index"], _as_taken(image, details))
    times: list[list[float]] = [[] for _ in opened]
    for number in range(rounds + 2):  # the first two warm up
        for interpreter, taken in zip(opened, times, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            if number > 1:
                taken.append(1000 * (time.perf_counter() - start))
    return lower_quartiles(times)
