"""ONNX graphs on onnxruntime's CPU provider, fp32 or int8.

In int8 a graph is what `nas quantize` writes (`nas.exporting.int8.qdq`), with assumed ranges. It
takes and gives floats at its ends, and has bytes between all its operators: unsigned activations
and signed weights with a scale per channel. With signed activations, onnxruntime 1.31 on x86 leaves
depthwise convolutions, additions, SE and the sigmoid in float, and a network with swish becomes
slower than in fp32; on ARM both are fast.

All operators of the optimised graph run in int8. ReLU and ReLU6 are part of the rounding after a
convolution, which costs nothing; h-swish and the hard sigmoid are operators of their own. Earlier
versions left these two in float, between two conversions (`graph_of`). On x86 without VNNI sums are
wider, and slower, than by default (`nas.core.exact_int8`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from nas.core.errors import NasError, first_line
from nas.core.exact_int8 import OPTIONS
from nas.latency.backends import Backend, Run, check_options, timed

if TYPE_CHECKING:  # a device that measures a bundle has no layers
    from nas.network.layers import Unit

_FATAL_ONLY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxRuntime:
    """Runs ONNX graphs one after the other, with `threads` threads inside each operator."""

    threads: int
    dtype: str
    suffix: str = ".onnx"

    @property
    def runtime(self) -> str:
        """The runtime and its version."""
        return f"onnxruntime {ort.__version__}"

    def compile(self, units: "Sequence[Unit]") -> bytes:
        """Return `units` as a serialised ONNX model with random weights.

        Raises:
            MissingPackage: if onnx is not installed.
        """
        from nas.exporting.onnx import units_to_onnx  # a target that only runs models does without
        from nas.network.weights import tiled_weights

        model = units_to_onnx(units, tiled_weights(units), batch=1)
        if self.dtype == "int8":
            from nas.exporting.int8.qdq import assumed_grids, to_qdq  # needs onnx

            model = to_qdq(model, assumed_grids(model))
        content: bytes = model.SerializeToString()
        return content

    def open(self, model: bytes) -> Run:
        """Return the function that runs `model` on one random input.

        Raises:
            NasError: if onnxruntime refuses the model.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        for option in OPTIONS.items():
            options.add_session_config_entry(*option)
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            shapes = {
                given.name: [1 if isinstance(side, str) else side for side in given.shape]
                for given in session.get_inputs()
            }
            rng = np.random.default_rng(0)
            feed = {name: rng.standard_normal(s, np.float32) for name, s in shapes.items()}
            session.run(None, feed)
        except Exception as error:  # onnxruntime's own errors share no base but Exception
            raise NasError(f"onnxruntime refuses the model: {first_line(error)}") from None
        return timed(lambda: session.run(None, feed), threads=self.threads)


def create(*, threads: int = 1, dtype: str = "fp32") -> Backend:
    """Return the backend.

    Raises:
        NasError: if `threads` or `dtype` is none it has.
    """
    check_options("onnxruntime", threads=threads, dtype=dtype)
    return OnnxRuntime(threads=threads, dtype=dtype)
