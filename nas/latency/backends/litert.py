"""LiteRT (TensorFlow Lite) with XNNPACK kernels, as on Android phones, fp32 or int8.

In fp32 XNNPACK runs the whole graph. In int8 (signed bytes, a scale per channel of a convolution)
it runs all but h-swish, for which LiteRT has a kernel of its own; every change between the two
costs something. A graph takes and gives floats at its ends in either case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from nas.core.errors import NasError, first_line
from nas.latency.backends import Backend, Run, check_options, timed

if TYPE_CHECKING:  # a device that measures a bundle has no layers
    from nas.network.layers import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteRt:
    """Runs .tflite models on XNNPACK, which LiteRT takes for all it can by default."""

    threads: int
    dtype: str
    suffix: str = ".tflite"

    @property
    def runtime(self) -> str:
        """The runtime and its version."""
        return f"litert {version('ai-edge-litert')}"

    def compile(self, units: "Sequence[Unit]") -> bytes:
        """Return `units` as a .tflite model with random weights."""
        from nas.exporting.tflite import units_to_tflite  # not on a device that only measures
        from nas.network.weights import tiled_weights

        return units_to_tflite(units, tiled_weights(units), batch=1, dtype=self.dtype)

    def open(self, model: bytes) -> Run:
        """Return the function that runs `model` on one random input.

        Raises:
            NasError: if LiteRT refuses the model.
        """
        try:
            interpreter = Interpreter(model_content=model, num_threads=self.threads)
            interpreter.allocate_tensors()
            rng = np.random.default_rng(0)
            for given in interpreter.get_input_details():
                images = rng.standard_normal(given["shape"], np.float32)
                interpreter.set_tensor(given["index"], images)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise NasError(f"LiteRT refuses the model: {first_line(error)}") from None
        return timed(interpreter.invoke, threads=self.threads)


def create(*, threads: int = 1, dtype: str = "fp32") -> Backend:
    """Return the backend.

    Raises:
        NasError: if `threads` or `dtype` is none it has.
    """
    check_options("litert", threads=threads, dtype=dtype)
    return LiteRt(threads=threads, dtype=dtype)
