"""An ONNX graph that onnxruntime runs; random weights unless some are given."""

from functools import partial

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.onnx import OPSET, to_onnx


def create(*, seed: int = 0, batch: int = 0, opset: int = OPSET) -> Exporter:
    """Return the exporter of `nas.exporting.onnx.to_onnx`.

    `seed` draws the random weights; `batch` of 0 leaves the batch size open, and height and width
    where the network pools.
    """
    graph = partial(to_onnx, seed=seed, batch=batch or None, opset=opset)
    return FileExporter(
        suffix=".onnx",
        content=lambda arch, weights, facts: bytes(
            graph(arch, weights, metadata=facts).SerializeToString()
        ),
    )
