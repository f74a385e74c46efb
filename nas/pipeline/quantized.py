"""The last step of a pruning or pipeline for int8: quantize the network, and evaluate it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.core.files import atomic_path
from nas.core.progress import Report
from nas.network.checkpoint import load_checkpoint
from nas.training.data import Data
from nas.training.int8.choice import Settings
from nas.training.int8.quantize import finished, quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationResult:
    """A network before and after post-training quantization, both run by onnxruntime.

    `path` is the int8 graph; `calibration` is the method by which ranges were chosen.
    """

    metric: str
    before: float
    after: float
    calibration: str
    path: Path

    @property
    def text(self) -> str:
        """One line on the result."""
        change = 100 * (self.after - self.before)
        return (
            f"in int8: {self.metric} {100 * self.after:.2f} %, in float {100 * self.before:.2f} % "
            f"({change:+.2f} points), as onnxruntime runs both; ranges by {self.calibration}"
        )

    def record(self, *, relative_to: Path) -> Mapping[str, Any]:
        """Return the result as plain data; the path is relative to `relative_to`."""
        return {
            "metric": self.metric,
            "float": self.before,
            "int8": self.after,
            "calibration": self.calibration,
            "path": str(self.path.relative_to(relative_to)),
        }


def quantize_into(
    trained: str, data: Data, path: Path, *, seed: int = 0, report: Report | None = None
) -> QuantizationResult:
    """Quantize a checkpoint or the network of a training folder into an ONNX file at `path`.

    Raises:
        NasError: if there are too few data, or calibration yields no ranges.
    """
    found = load_checkpoint(trained)
    made = quantize(found, data, Settings(seed=seed), report=report)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(finished(made).SerializeToString())
    return QuantizationResult(
        metric=made.metric,
        before=made.before,
        after=made.after,
        calibration=made.calibration,
        path=path,
    )
