"""The neck and predictions of YOLO networks: a path aggregation network, and its outputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.network.builder import ArchitectureBuilder
from nas.network.detector import Detector, Level

COCO_CLASSES = 80
BINS = 16
"""The bins of a distance, which is 0 to 15 strides."""
Anchors = tuple[tuple[float, float], ...]
Grow = Callable[[ArchitectureBuilder, str, int], str]
"""Adds blocks that turn a map into one with a number of channels; returns the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How a path aggregation network (Liu et al., 2018) is built.

    `grow` adds the block after each joint, `shrink` halves the side. With `reduce`, a 1x1
    convolution precedes each upsampling, and the way back joins its output, as in YOLOv5.
    """

    grow: Grow
    shrink: Grow
    reduce: bool = False
    joints: tuple[str, str] = ("concat", "concat")


def aggregated(
    builder: ArchitectureBuilder, maps: Sequence[str], widths: Sequence[int], parts: Parts
) -> tuple[str, ...]:
    """Add the way up and the way back over `maps`, finest first; return the places of the results.

    `widths` are the channels of the results.
    """
    now, upward, kept = maps[-1], [], []
    for source, width, before in zip(maps[-2::-1], widths[-2::-1], widths[:0:-1], strict=True):
        now = builder.conv(now, width) if parts.reduce else now
        kept.append(now)
        larger = builder.add("upsample", now, stride=2)
        now = parts.grow(builder, builder.join(parts.joints[0], [larger, source]), width)
        upward.append((now, before))
    results = [now]
    for width, joined in zip(widths[1:], reversed(kept), strict=True):
        smaller = parts.shrink(builder, results[-1], widths[len(results) - 1])
        results.append(parts.grow(builder, builder.join(parts.joints[1], [smaller, joined]), width))
    return tuple(results)


def anchor_free(builder: ArchitectureBuilder, maps: Sequence[str], *, classes: int) -> Detector:
    """Add YOLOv8's predictions from `maps`: separate branches for boxes (in bins) and classes.

    The class branch is as wide as for COCO's 80 classes whatever `classes` is, so that detectors
    for different data differ only in their last layers.
    """
    first = builder.channels[maps[0]]
    of_boxes, of_classes = max(16, first // 4, 4 * BINS), max(first, COCO_CLASSES)
    levels = []
    for place in maps:
        boxes = _predict(builder, place, of_boxes, 4 * BINS)
        levels.append(Level(boxes=boxes, classes=_predict(builder, place, of_classes, classes)))
    return Detector(coder="yolo", classes=classes, levels=tuple(levels), bins=BINS)


def _predict(builder: ArchitectureBuilder, source: str, inner: int, numbers: int) -> str:
    found = builder.conv(builder.conv(source, inner, 3), inner, 3)
    return builder.add("predict", found, numbers, act="none")


def anchored(
    builder: ArchitectureBuilder, maps: Sequence[str], anchors: Sequence[Anchors], *, classes: int
) -> Detector:
    """Add YOLOv5's predictions from `maps`; `anchors` are fractions of the side, per map."""
    levels = []
    for place, boxes in zip(maps, anchors, strict=True):
        box = builder.add("predict", place, 4 * len(boxes), act="none")
        label = builder.add("predict", place, (1 + classes) * len(boxes), act="none")
        levels.append(Level(boxes=box, classes=label, anchors=boxes))
    return Detector(coder="yolov5", classes=classes, levels=tuple(levels))
