"""An ONNX graph that onnxruntime runs; random weights unless some are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.core.files import atomic_path
from nas.exporting.formats import Exporter
from nas.exporting.onnx import OPSET, to_onnx
from nas.network.blocks import Architecture
from nas.network.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExporter:
    """Writes the graph of `nas.exporting.onnx.to_onnx`.

    `seed` draws the random weights; `batch` of 0 leaves the batch size open, and height and width
    where the network pools.
    """

    suffix: str = ".onnx"
    holds_weights: bool = True
    seed: int = 0
    batch: int = 0
    opset: int = OPSET

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the graph of `arch` to `path`, its metadata with fingerprint and name."""
        model = to_onnx(
            arch,
            weights,
            seed=self.seed,
            batch=self.batch or None,
            opset=self.opset,
            metadata=metadata,
        )
        with atomic_path(path, follow=True) as temporary:
            temporary.write_bytes(model.SerializeToString())


def create(*, seed: int = 0, batch: int = 0, opset: int = OPSET) -> Exporter:
    """Return the exporter; `batch` of 0 leaves the shape of the input open."""
    return OnnxExporter(seed=seed, batch=batch, opset=opset)
