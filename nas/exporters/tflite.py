"""A .tflite file that LiteRT runs, channels last; random weights unless some are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.arch import Architecture
from nas.data import atomic_path
from nas.exporters import Exporter
from nas.tflite import to_tflite
from nas.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteExporter:
    """Writes the graph of `nas.tflite.to_tflite`, in fp32.

    `seed` draws the random weights; the batch size is fixed, which XNNPACK needs.
    """

    suffix: str = ".tflite"
    holds_weights: bool = True
    seed: int = 0
    batch: int = 1

    def __call__(
        self,
        arch: Architecture,
        path: Path,
        weights: Weights | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the graph of `arch` to `path`, its metadata with fingerprint and name."""
        content = to_tflite(arch, weights, seed=self.seed, batch=self.batch, metadata=metadata)
        with atomic_path(path, follow=True) as temporary:
            temporary.write_bytes(content)


def create(*, seed: int = 0, batch: int = 1) -> Exporter:
    """Return the exporter; `batch` is the batch size, 1 or more."""
    return TfliteExporter(seed=seed, batch=batch)
