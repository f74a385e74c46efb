"""A .tflite file that LiteRT runs, channels last; random weights unless some are given."""

from collections.abc import Mapping

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.tflite import to_tflite
from nas.network.blocks import Architecture
from nas.network.weights import Weights


def create(*, seed: int = 0, batch: int = 0) -> Exporter:
    """Return the exporter of `nas.exporting.tflite.to_tflite`, in fp32.

    `seed` draws the random weights; `batch` of 0 gives 1 that may be resized when it is run, and
    with it height and width where the network pools.
    """

    def content(
        arch: Architecture, weights: Weights | None, metadata: Mapping[str, str] | None
    ) -> bytes:
        return to_tflite(arch, weights, seed=seed, batch=batch or None, metadata=metadata)

    return FileExporter(suffix=".tflite", content=content)
