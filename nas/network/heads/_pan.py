"""What YOLO networks put behind their backbones: a path aggregation network and what predicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.network.detector import Detector, Level
from nas.network.sketch import Sketch

COCO_CLASSES = 80
BINS = 16
"""Distances are 0 to 15 strides."""
Anchors = tuple[tuple[float, float], ...]
Grow = Callable[[Sketch, str, int], str]
"""Puts what turns a map into one of so many channels; returns its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How a path aggregation network (Liu et al., 2018) is built.

    `grow` puts the block behind each joint, `shrink` halves the side. With `reduce` a convolution
    of 1x1 stands before each upsampling, whose output the way back joins, as in YOLOv5.
    """

    grow: Grow
    shrink: Grow
    reduce: bool = False
    joints: tuple[str, str] = ("concat", "concat")


def aggregated(
    sketch: Sketch, maps: Sequence[str], widths: Sequence[int], parts: Parts
) -> tuple[str, ...]:
    """Put the way up and the way back over `maps`, the finest first; return the places of all.

    `widths` are the channels of the results.
    """
    now, upward, kept = maps[-1], [], []
    for source, width, before in zip(maps[-2::-1], widths[-2::-1], widths[:0:-1], strict=True):
        now = sketch.conv(now, width) if parts.reduce else now
        kept.append(now)
        larger = sketch.add("upsample", now, stride=2)
        now = parts.grow(sketch, sketch.join(parts.joints[0], [larger, source]), width)
        upward.append((now, before))
    results = [now]
    for width, joined in zip(widths[1:], reversed(kept), strict=True):
        smaller = parts.shrink(sketch, results[-1], widths[len(results) - 1])
        results.append(parts.grow(sketch, sketch.join(parts.joints[1], [smaller, joined]), width))
    return tuple(results)


def anchor_free(sketch: Sketch, maps: Sequence[str], *, classes: int) -> Detector:
    """Put YOLOv8's predictions from `maps`: boxes and classes apart, distances in bins.

    The width of the class branch is that for COCO's 80 classes whatever `classes` are, so that a
    detector is the same network on all data, but for its last layers.
    """
    first = sketch.channels[maps[0]]
    of_boxes, of_classes = max(16, first // 4, 4 * BINS), max(first, COCO_CLASSES)
    levels = []
    for place in maps:
        boxes = _predict(sketch, place, of_boxes, 4 * BINS)
        levels.append(Level(boxes=boxes, classes=_predict(sketch, place, of_classes, classes)))
    return Detector(coder="yolo", classes=classes, levels=tuple(levels), bins=BINS)


def _predict(sketch: Sketch, source: str, inner: int, numbers: int) -> str:
    found = sketch.conv(sketch.conv(source, inner, 3), inner, 3)
    return sketch.add("predict", found, numbers, act="none")


def anchored(
    sketch: Sketch, maps: Sequence[str], anchors: Sequence[Anchors], *, classes: int
) -> Detector:
    """Put YOLOv5's predictions from `maps`; `anchors` are fractions of the side, for each map."""
    levels = []
    for place, boxes in zip(maps, anchors, strict=True):
        box = sketch.add("predict", place, 4 * len(boxes), act="none")
        label = sketch.add("predict", place, (1 + classes) * len(boxes), act="none")
        levels.append(Level(boxes=box, classes=label, anchors=boxes))
    return Detector(coder="yolov5", classes=classes, levels=tuple(levels))
