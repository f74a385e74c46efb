"""The parts of SSD's head: extra maps, anchors, and predictions from each map."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt

from nas.core.errors import BadValue
from nas.network.builder import ArchitectureBuilder
from nas.network.detector import Detector, Level

EXTRAS = (512, 256, 256, 128)
"""The channels of the maps after the backbone, each of half the side (Liu et al., 2016)."""
SMALLEST, _LARGEST = 0.2, 0.95
_LEAST = 0.01
_RATIOS = (2.0, 3.0)

Anchors = tuple[tuple[float, float], ...]
_LAST_STRIDE = 32
Shrink = Callable[[ArchitectureBuilder, str, int], str]
"""Adds blocks that halve the side of a map, with a number of channels; returns the place."""
Predict = Callable[[ArchitectureBuilder, str, int], str]
"""Adds blocks that predict a number of values per pixel of a map; returns the place."""


def anchors(maps: int, *, fewer: bool, smallest: float) -> tuple[Anchors, ...]:
    """Return widths and heights of the anchors of every map, as fractions of the side.

    The scales of the maps grow from `smallest` to 0.95 in equal steps. The anchors of a map are a
    square of its scale, a square of the geometric mean with the next scale, and boxes of the ratios
    2, 1/2, 3 and 1/3 with the area of its scale. With `fewer` the first map has three anchors, one
    of them of half its scale.

    Raises:
        BadValue: if `smallest` is not 0.01 to 0.9.
    """
    if not _LEAST <= smallest <= 0.9:
        raise BadValue(f"smallest must be a fraction of the side, 0.01 to 0.9, not {smallest:g}")
    step = (_LARGEST - smallest) / max(maps - 1, 1)
    scales = [smallest + step * number for number in range(maps)] + [1.0]
    found = [_of_scale(scale, after) for scale, after in pairwise(scales)]
    if fewer:
        found[0] = _box(smallest / 2, 1.0), _box(smallest, 2.0), _box(smallest, 0.5)
    return tuple(found)


def _of_scale(scale: float, after: float) -> Anchors:
    squares = (_box(scale, 1.0), _box(sqrt(scale * after), 1.0))
    return squares + tuple(_box(scale, r) for ratio in _RATIOS for r in (ratio, 1 / ratio))


def _box(scale: float, ratio: float) -> tuple[float, float]:
    return round(min(scale * sqrt(ratio), 1.0), 6), round(min(scale / sqrt(ratio), 1.0), 6)


def extra_maps(
    builder: ArchitectureBuilder, maps: Sequence[str], side: int, shrink: Shrink
) -> list[str]:
    """Add extra maps after the last of `maps`, until one has a single pixel; return all maps.

    `side` is the side of the input. A map is computed by a 1x1 convolution to half its channels,
    and by `shrink`, which halves the side.
    """
    found = list(maps)
    cells = -(-side // _LAST_STRIDE)
    for channels in EXTRAS:
        if cells == 1:
            break
        inner = builder.conv(found[-1], channels // 2)
        found.append(shrink(builder, inner, channels))
        cells = -(-cells // 2)
    return found


def predictions(
    builder: ArchitectureBuilder,
    maps: Sequence[str],
    predict: Predict,
    *,
    classes: int,
    boxes_of: Sequence[Anchors],
) -> Detector:
    """Add the predictions of boxes and classes from `maps`, and return the detector."""
    levels = []
    for place, boxes in zip(maps, boxes_of, strict=True):
        box = predict(builder, place, 4 * len(boxes))
        label = predict(builder, place, (classes + 1) * len(boxes))
        levels.append(Level(boxes=box, classes=label, anchors=boxes))
    return Detector(coder="ssd", classes=classes, levels=tuple(levels))
