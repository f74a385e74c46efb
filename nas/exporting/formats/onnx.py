"""An ONNX graph that onnxruntime runs; random weights unless some are given."""

from collections.abc import Mapping

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.onnx import OPSET, to_onnx
from nas.network.blocks import Architecture
from nas.network.weights import Weights


def create(*, seed: int = 0, batch: int = 0, opset: int = OPSET) -> Exporter:
    """Return the exporter of `nas.exporting.onnx.to_onnx`.

    `seed` draws the random weights; `batch` of 0 leaves the batch size open, and height and width
    where the network pools.
    """

    def content(
        arch: Architecture, weights: Weights | None, metadata: Mapping[str, str] | None
    ) -> bytes:
        model = to_onnx(
            arch, weights, seed=seed, batch=batch or None, opset=opset, metadata=metadata
        )
        return bytes(model.SerializeToString())

    return FileExporter(suffix=".onnx", content=content)
