"""The picture of what a detector finds in some images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nas.report._drawing import drawing, plain
from nas.training.detection.examples import DrawnBoxes, Example

MIN_SCORE = 0.3
"""Boxes below this probability are not drawn."""
_PAIRS, _INCHES, _GAP = 2, 3.2, 8
_COLOURS = colormaps["tab10"]


def draw_examples(
    shown: Sequence[Example], classes: Sequence[str], paths: Sequence[Path], *, title: str
) -> None:
    """Draw images into PNG or SVG files, two pairs to a row: what is there, and what is found.

    Boxes have the colour of their class; those that are found say it, with their score.
    """
    pairs = min(_PAIRS, len(shown))
    rows, side = -(-len(shown) // pairs), shown[0].pixels.shape[-1]
    step = side + _GAP
    canvas = np.full((rows * step, 2 * pairs * step, 3), 255, np.uint8)
    ratio = float(np.median([height / width for width, height in (one.size for one in shown)]))
    wide = 2 * pairs * _INCHES
    with drawing(paths, wide, rows * _INCHES * ratio + 0.5) as (_, axes):
        for number, one in enumerate(shown):
            top, left = number // pairs * step, number % pairs * 2 * step
            for place, boxes in ((left, one.objects), (left + step, one.found)):
                canvas[top : top + side, place : place + side] = one.pixels.transpose(1, 2, 0)
                _draw(axes, boxes, classes, at=(place, top), side=side)
        axes.imshow(canvas, aspect=ratio)
        axes.set_axis_off()
        axes.set_title(f"{plain(title)}: objects, and beside them what is found", fontsize=9)


def _draw(
    axes: Axes, boxes: DrawnBoxes, classes: Sequence[str], *, at: tuple[int, int], side: int
) -> None:
    scores: Sequence[float | None] = boxes.scores or [None] * len(boxes.labels)
    for corners, label, score in zip(boxes.corners, boxes.labels, scores, strict=True):
        if score is not None and score < MIN_SCORE:
            continue
        left, top, right, bottom = (float(value) * side for value in corners)
        colour = _COLOURS(label % _COLOURS.N)
        place = (at[0] + left, at[1] + top)
        box = Rectangle(place, right - left, bottom - top, fill=False, color=colour, linewidth=0.8)
        axes.add_patch(box)
        text = plain(classes[label]) + ("" if score is None else f" {score:.2f}")
        axes.text(*place, text, fontsize=6, color="white", va="bottom", clip_on=True,
                  bbox={"facecolor": colour, "pad": 0.4, "linewidth": 0})  # fmt: skip
