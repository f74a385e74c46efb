"""A .tflite file that LiteRT runs, channels last; random weights unless some are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.core.files import atomic_path
from nas.exporting.formats import Exporter
from nas.exporting.tflite import to_tflite
from nas.network.blocks import Architecture
from nas.network.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteExporter:
    """Writes the graph of `nas.exporting.tflite.to_tflite`, in fp32.

    `seed` draws the random weights; `batch` of 0 gives 1 that may be resized when it is run, and
    with it height and width where the network pools.
    """

    suffix: str = ".tflite"
    holds_weights: bool = True
    seed: int = 0
    batch: int = 0

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the graph of `arch` to `path`, its metadata with fingerprint and name."""
        content = to_tflite(
            arch, weights, seed=self.seed, batch=self.batch or None, metadata=metadata
        )
        with atomic_path(path, follow=True) as temporary:
            temporary.write_bytes(content)


def create(*, seed: int = 0, batch: int = 0) -> Exporter:
    """Return the exporter; `batch` of 0 leaves the shape of the input open."""
    return TfliteExporter(seed=seed, batch=batch)
