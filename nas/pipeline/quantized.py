"""The last step of a pruning or pipeline for int8: quantize the network, and evaluate it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.core.files import atomic_path
from nas.core.progress import Report
from nas.core.text import counted
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.pipeline.config import Quantization
from nas.training.data import Data
from nas.training.int8.choice import QuantizationSettings
from nas.training.int8.quantize import Quantized, finished, quantize, score_graph

SUFFIXES: Mapping[str, str] = {"onnxruntime": ".onnx", "litert": ".tflite"}
"""The suffix of an int8 graph, by the runtime it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationResult:
    """A network before and after quantization, both as the `backend` runs them.

    `path` is the int8 graph; `calibration` is the method by which ranges were chosen; `floats` are
    the layers left in float, of `layers`. `test` is what the int8 graph scores on the test images,
    if there are any.
    """

    metric: str
    before: float
    after: float
    test: float | None
    calibration: str
    backend: str
    layers: int
    floats: int
    path: Path

    @property
    def text(self) -> str:
        """One line on the result."""
        change = 100 * (self.after - self.before)
        more = f", {self.kept}" if self.kept else ""
        return (
            f"in int8: {self.metric} {100 * self.after:.2f} %, in float {100 * self.before:.2f} % "
            f"({change:+.2f} points), as {self.backend} runs both; ranges by {self.calibration}"
            f"{more}"
        )

    @property
    def kept(self) -> str:
        """Which layers stay in float; "" if none."""
        return f"{self.floats} of {counted(self.layers, 'layer')} in float" if self.floats else ""

    def record(self, *, relative_to: Path) -> Mapping[str, Any]:
        """Return the result as plain data; the path is relative to `relative_to`."""
        return {
            "metric": self.metric,
            "float": self.before,
            "int8": self.after,
            "calibration": self.calibration,
            "path": str(self.path.relative_to(relative_to)),
        }


def settings_of(how: Quantization, seed: int) -> QuantizationSettings:
    """Return how `nas quantize` quantizes by the section of a pipeline."""
    return QuantizationSettings(
        images=how.images, calibration=how.calibration, max_drop=how.max_drop, seed=seed
    )


def quantize_into(
    trained: str,
    data: Data,
    path: Path,
    *,
    settings: QuantizationSettings,
    backend: str = "onnxruntime",
    report: Report | None = None,
) -> QuantizationResult:
    """Quantize a checkpoint or the network of a training folder into a file at `path`.

    Raises:
        NasError: if there are too few data, or calibration yields no ranges.
    """
    found = load_checkpoint(trained)
    made, score, content = _quantized(found, data, settings, backend, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    has_test = data.test is not None and len(data.test)
    return QuantizationResult(
        metric=made.metric,
        before=made.before,
        after=made.after,
        test=score("test") if has_test else None,
        calibration=made.calibration,
        backend=backend,
        layers=len(made.noise),
        floats=len(made.floats),
        path=path,
    )


_Made = tuple[Quantized, Callable[[str], float], bytes]
"""What was quantized, what its graph scores on a split, and the file."""


def _quantized(
    found: Checkpoint,
    data: Data,
    settings: QuantizationSettings,
    backend: str,
    report: Report | None,
) -> _Made:
    if backend != "litert":
        made = quantize(found, data, settings, report=report)
        whole = finished(made).SerializeToString()
        return made, lambda split: score_graph(found, data, made.model, split=split), whole
    from nas.training.int8 import litert  # needs LiteRT

    made = litert.quantize_for_litert(found, data, settings, report=report)
    _, inner = litert.to_int8(found, made)

    def score(split: str) -> float:
        return litert.score(found, data, inner, split=split)

    return made, score, litert.finished(made)
