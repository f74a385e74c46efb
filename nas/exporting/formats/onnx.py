"""An ONNX graph that onnxruntime runs; random weights unless some are given."""

from collections.abc import Mapping

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.nms import check_boxes, nms_settings
from nas.exporting.onnx import OPSET, detector_to_onnx, to_onnx
from nas.network.blocks import Architecture
from nas.network.detector import MIN_SCORE, OVERLAP
from nas.network.lowering import lower
from nas.network.weights import Weights, random_weights


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    seed: int = 0,
    batch: int = 0,
    opset: int = OPSET,
    raw: bool = False,
    score: float = MIN_SCORE,
    overlap: float = OVERLAP,
    most: int = 0,
) -> Exporter:
    """Return the exporter of `nas.exporting.onnx`.

    `seed` draws the random weights; `batch` of 0 leaves the batch size open, and height and width
    where the network pools. A detector ends in the boxes that it finds in one image, above a
    probability of `score`, suppressed where they overlap by an IoU above `overlap`, `most` of them
    at most (0: as usual); with `raw`, or a `batch`, in its numbers (`nas.network.detector`).
    """

    def content(
        arch: Architecture, weights: Weights | None, facts: Mapping[str, str] | None
    ) -> bytes:
        is_raw = check_boxes(arch, raw=raw, batch=batch, given=(score, overlap, most))
        if arch.detector and not is_raw:
            nms = nms_settings(arch.detector, score=score, overlap=overlap, most=most)
            drawn = random_weights(lower(arch), seed=seed) if weights is None else weights
            model = detector_to_onnx(arch, drawn, nms=nms, opset=opset, metadata=facts)
        else:
            size = batch or None
            model = to_onnx(arch, weights, seed=seed, batch=size, opset=opset, metadata=facts)
        return bytes(model.SerializeToString())

    return FileExporter(suffix=".onnx", content=content)
