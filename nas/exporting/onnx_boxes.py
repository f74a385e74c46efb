"""Write what turns the outputs of a detector into boxes, as ONNX operators.

The graph is that of one image. It keeps what `nas eval` does, but looks at every candidate.
"""

import numpy as np

from nas.exporting._onnx_writer import OnnxWriter
from nas.network.detector import (
    CENTRE_VARIANCE,
    MAX_GROWTH,
    SIZE_VARIANCE,
    Detector,
    NmsSettings,
    Priors,
)

BOXES, SCORES, LABELS = "boxes", "scores", "labels"
"""The outputs: left, top, right and bottom in pixels of the input, (found, 4); a probability and
the number of a class for each, (found,); best first."""


def write_boxes(  # what boxes are made of
    writer: OnnxWriter,
    numbers: str,
    scores: str,
    detector: Detector,
    priors: Priors,
    nms: NmsSettings,
) -> None:
    """Write the boxes of `numbers` (1, predictions, numbers) and `scores`, as the outputs say."""
    corners = _decoded(writer, numbers, detector, priors)
    shares = writer.add("Transpose", (_shares(writer, scores, detector),), "shares", perm=[0, 2, 1])
    limit = [
        writer.constant(f"limits.{name}", [value], dtype)
        for name, value, dtype in (
            ("most", nms.most, np.int64),
            ("overlap", nms.overlap, np.float32),
            ("score", nms.score, np.float32),
        )
    ]
    chosen = writer.add("NonMaxSuppression", (corners, shares, *limit), "chosen")
    order, best = _best(writer, writer.add("GatherND", (shares, chosen), "chosen.shares"), limit[0])
    rows = writer.add("Gather", (chosen, order), "rows", axis=0)
    axis = writer.constant("rows.axis", [1], np.int64)
    (label, box) = (
        writer.add("Squeeze", (_columns(writer, rows, at, at + 1, f"rows.{at}"), axis), f"row.{at}")
        for at in (1, 2)
    )
    first = writer.constant("first", 0, np.int64)
    flat = writer.add("Gather", (corners, first), "corners.flat", axis=0)
    writer.add("Gather", (flat, box), BOXES, axis=0)
    writer.add("Identity", (best,), SCORES)
    writer.add("Identity", (label,), LABELS)


def _best(writer: OnnxWriter, shares: str, most: str) -> tuple[str, str]:
    """Return the order of the best of `shares`, and these themselves."""
    count = writer.add("Min", (writer.add("Shape", (shares,), "chosen.count"), most), "count")
    writer.several("TopK", (shares, count), ("best", "order"), axis=0)
    return "order", "best"


def _shares(writer: OnnxWriter, scores: str, detector: Detector) -> str:
    """Return the probabilities of the classes."""
    if detector.coder == "ssd":
        shares = writer.add("Softmax", (scores,), "softmax", axis=2)
        return _columns(writer, shares, 1, detector.scores, "classes", axis=2)
    shares = writer.add("Sigmoid", (scores,), "sigmoid")
    if detector.coder == "yolo":
        return shares
    thing = _columns(writer, shares, 0, 1, "object", axis=2)
    classes = _columns(writer, shares, 1, detector.scores, "classes", axis=2)
    return writer.add("Mul", (classes, thing), "classes.object")


def _decoded(writer: OnnxWriter, numbers: str, detector: Detector, priors: Priors) -> str:
    """Return the corners, (1, predictions, 4)."""
    low, high = _low_and_high(writer, numbers, detector, priors)
    return writer.add("Concat", (low, high), "corners", axis=2)


def _low_and_high(
    writer: OnnxWriter, numbers: str, detector: Detector, priors: Priors
) -> tuple[str, str]:
    centres = writer.constant("priors.centres", priors.centres)
    strides = "priors.strides"
    if detector.coder != "ssd":
        writer.constant(strides, priors.strides[:, None])
    if detector.coder == "yolo":
        away = writer.add("Mul", (_distances(writer, numbers, detector.bins), strides), "away")
        low, high = (_columns(writer, away, at, at + 2, f"away.{at}", axis=2) for at in (0, 2))
        return (
            writer.add("Sub", (centres, low), "low"),
            writer.add("Add", (centres, high), "high"),
        )
    if detector.coder == "yolov5":
        numbers = writer.add("Sigmoid", (numbers,), "numbers.sigmoid")
    moved, grown = (_columns(writer, numbers, at, at + 2, f"numbers.{at}", axis=2) for at in (0, 2))
    if detector.coder == "yolov5":
        two, one = writer.constant("two", 2), writer.constant("one", 1)
        doubled = writer.add("Mul", (moved, two), "moved.doubled")
        shift = writer.add("Mul", (writer.add("Sub", (doubled, one), "moved"), strides), "shift")
        growth = writer.add("Mul", (grown, grown), "grown.square")
        scale = writer.constant("priors.halves", 2 * priors.sizes)
    else:
        by = writer.constant("priors.moves", CENTRE_VARIANCE * priors.sizes)
        shift = writer.add("Mul", (moved, by), "shift")
        scaled = writer.add("Mul", (grown, writer.constant("variance", SIZE_VARIANCE)), "scaled")
        most = writer.constant("growth.most", MAX_GROWTH)
        growth = writer.add("Exp", (writer.add("Min", (scaled, most), "capped"),), "growth")
        scale = writer.constant("priors.halves", priors.sizes / 2)
    middle = writer.add("Add", (centres, shift), "middle")
    half = writer.add("Mul", (growth, scale), "half")
    return writer.add("Sub", (middle, half), "low"), writer.add("Add", (middle, half), "high")


def _distances(writer: OnnxWriter, numbers: str, bins: int) -> str:
    shape = writer.constant("bins.shape", (1, -1, 4, bins), np.int64)
    split = writer.add("Reshape", (numbers, shape), "bins")
    shares = writer.add("Softmax", (split,), "bins.shares", axis=3)
    steps = writer.constant("bins.steps", np.arange(bins)[:, None])
    mean = writer.add("MatMul", (shares, steps), "bins.mean")
    sides = writer.constant("bins.sides", (1, -1, 4), np.int64)
    return writer.add("Reshape", (mean, sides), "distances")


def _columns(  # an operator's
    writer: OnnxWriter, x: str, first: int, last: int, name: str, *, axis: int = 1
) -> str:
    """Return columns `first` to `last` - 1 of `x` along `axis`."""
    ends = [
        writer.constant(f"{name}.{what}", [value], np.int64)
        for what, value in (("first", first), ("last", last), ("axis", axis))
    ]
    return writer.add("Slice", (x, *ends), name)
