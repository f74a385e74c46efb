"""A .tflite file that LiteRT runs, channels last; random weights unless some are given."""

from collections.abc import Mapping

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.nms import check_boxes, nms_settings
from nas.exporting.tflite import detector_to_tflite, to_tflite
from nas.network.blocks import Architecture
from nas.network.detector import MIN_SCORE, OVERLAP
from nas.network.lowering import lower
from nas.network.weights import Weights, random_weights


def create(
    *,
    seed: int = 0,
    batch: int = 0,
    raw: bool = False,
    score: float = MIN_SCORE,
    overlap: float = OVERLAP,
    most: int = 0,
) -> Exporter:
    """Return the exporter of `nas.exporting.tflite`, in fp32.

    `seed` draws the random weights; `batch` of 0 gives 1 that may be resized when it is run, and
    with it height and width where the network pools. The options of detectors are those of "onnx".
    """

    def content(
        arch: Architecture, weights: Weights | None, facts: Mapping[str, str] | None
    ) -> bytes:
        is_raw = check_boxes(arch, raw=raw, batch=batch, given=(score, overlap, most))
        if arch.detector and not is_raw:
            nms = nms_settings(arch.detector, score=score, overlap=overlap, most=most)
            drawn = random_weights(lower(arch), seed=seed) if weights is None else weights
            return detector_to_tflite(arch, drawn, nms=nms, metadata=facts)
        return to_tflite(arch, weights, seed=seed, batch=batch or None, metadata=facts)

    return FileExporter(suffix=".tflite", content=content)
