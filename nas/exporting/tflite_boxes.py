"""Write what turns the outputs of a detector into boxes, as TensorFlow Lite operators.

The last one is the custom operator TFLite_Detection_PostProcess, which LiteRT has built in: it
decodes, and suppresses class by class. It is written for anchors by their centres, where a size is
the exponential of a number; other coders give their boxes in this form.
"""

import numpy as np

from nas.exporting._tflite_writer import TfliteWriter
from nas.network.detector import CENTRE_VARIANCE, SIZE_VARIANCE, Detector, NmsSettings, Priors

OPERATOR = "TFLite_Detection_PostProcess"
BOXES, LABELS, SCORES, COUNT = "boxes", "labels", "scores", "count"
"""The outputs: (1, most, 4), (1, most), (1, most) and (1,); the first `count` of them are boxes."""
_MIN_SIDE = 1e-3


def write_boxes(
    writer: TfliteWriter,
    numbers: int,
    scores: int,
    detector: Detector,
    priors: Priors,
    nms: NmsSettings,
) -> dict[str, int]:
    """Write the boxes of `numbers` (1, predictions, numbers) and `scores`; return the outputs.

    Boxes are left, top, right and bottom in pixels of the input, since the numbers of columns stand
    where the operator expects those of rows.
    """
    shares = _shares(writer, scores, detector)
    if detector.coder == "ssd":
        anchors = np.concatenate([priors.centres, priors.sizes], axis=1)
        scales = (1 / CENTRE_VARIANCE, 1 / SIZE_VARIANCE)
    else:
        numbers = _centred(writer, numbers, detector, priors)
        anchors, scales = np.tile(np.array([0.0, 0, 1, 1]), (len(priors), 1)), (1.0, 1.0)
    shapes = {BOXES: (1, nms.most, 4), LABELS: (1, nms.most), SCORES: (1, nms.most),
              COUNT: (1,)}  # fmt: skip
    return writer.custom(
        OPERATOR,
        (numbers, shares, writer.constant("anchors", anchors)),
        shapes,
        {
            "max_detections": nms.most,
            "max_classes_per_detection": 1,
            "detections_per_class": nms.most,
            "use_regular_nms": True,
            "nms_score_threshold": nms.score,
            "nms_iou_threshold": nms.overlap,
            "num_classes": detector.classes,
            **{f"{axis}_scale": scales[0] for axis in "yx"},
            **{f"{axis}_scale": scales[1] for axis in "hw"},
        },
    )


def _shares(writer: TfliteWriter, scores: int, detector: Detector) -> int:
    """Return probabilities: of "ssd" with that of the background, which the operator skips."""
    shape = writer.tensors[scores].shape
    if detector.coder == "ssd":
        return writer.add("SOFTMAX", (scores,), "shares", shape, beta=1.0)
    shares = writer.act("sigmoid", scores, "shares")
    if detector.coder == "yolo":
        return shares
    thing = _columns(writer, shares, 0, 1, "object")
    classes = _columns(writer, shares, 1, detector.classes, "classes")
    return writer.add("MUL", (classes, thing), "classes.object", writer.tensors[classes].shape)


def _centred(writer: TfliteWriter, numbers: int, detector: Detector, priors: Priors) -> int:
    """Return centres, and the logarithms of sizes, in pixels: (1, predictions, 4)."""
    by = _yolo if detector.coder == "yolo" else _yolov5
    centres, sizes = by(writer, numbers, detector, priors)
    pair, (batch, count, _) = writer.tensors[centres].shape, writer.tensors[centres].shape
    least = writer.constant("sizes.least", [_MIN_SIDE])
    capped = writer.add("MAXIMUM", (sizes, least), "sizes.capped", pair)
    logs = writer.add("LOG", (capped,), "sizes.logs", pair)
    return writer.add("CONCATENATION", (centres, logs), "centred", (batch, count, 4), axis=2)


def _yolo(
    writer: TfliteWriter, numbers: int, detector: Detector, priors: Priors
) -> tuple[int, int]:
    away = _distances(writer, numbers, detector.bins, priors)
    low, high = _columns(writer, away, 0, 2, "low"), _columns(writer, away, 2, 2, "high")
    pair = writer.tensors[low].shape
    sizes = writer.add("ADD", (low, high), "sizes", pair)
    gap = writer.add("SUB", (high, low), "gap", pair)
    half = writer.add("MUL", (gap, writer.constant("half", [0.5])), "gap.half", pair)
    start = writer.constant("priors.centres", priors.centres[None])
    return writer.add("ADD", (half, start), "centres", pair), sizes


def _distances(writer: TfliteWriter, numbers: int, bins: int, priors: Priors) -> int:
    """Return the distances to the sides in pixels, (1, predictions, 4)."""
    count = len(priors)
    split = writer.reshape(numbers, "bins", (1, 4 * count, bins))
    shares = writer.add("SOFTMAX", (split,), "bins.shares", (1, 4 * count, bins), beta=1.0)
    steps = writer.constant("bins.steps", np.arange(bins))
    weighted = writer.add("MUL", (shares, steps), "bins.weighted", (1, 4 * count, bins))
    axis = writer.numbers("bins.axis", [2])
    mean = writer.add("SUM", (weighted, axis), "bins.mean", (1, 4 * count), keepDims=False)
    sides = writer.reshape(mean, "bins.sides", (1, count, 4))
    strides = writer.constant("priors.strides", priors.strides[None, :, None])
    return writer.add("MUL", (sides, strides), "distances", (1, count, 4))


def _yolov5(
    writer: TfliteWriter, numbers: int, detector: Detector, priors: Priors
) -> tuple[int, int]:
    shares = writer.act("sigmoid", numbers, "numbers.sigmoid")
    moved, grown = _columns(writer, shares, 0, 2, "moved"), _columns(writer, shares, 2, 2, "grown")
    pair = writer.tensors[moved].shape
    doubled = writer.constant("priors.steps", 2 * priors.strides[None, :, None])
    shift = writer.add("MUL", (moved, doubled), "shift", pair)
    start = writer.constant("priors.starts", (priors.centres - priors.strides[:, None])[None])
    squared = writer.add("MUL", (grown, grown), "grown.square", pair)
    sizes = writer.constant("priors.sizes", 4 * priors.sizes[None])
    centres = writer.add("ADD", (shift, start), "centres", pair)
    return centres, writer.add("MUL", (squared, sizes), "sizes", pair)


def _columns(writer: TfliteWriter, x: int, first: int, count: int, name: str) -> int:
    """Return some of the last axis of `x`."""
    batch, rows, _ = writer.tensors[x].shape
    begin = writer.numbers(f"{name}.begin", (0, 0, first))
    size = writer.numbers(f"{name}.size", (-1, -1, count))
    return writer.add("SLICE", (x, begin, size), name, (batch, rows, count))
