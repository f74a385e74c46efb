"""What a detector predicts: maps of box numbers and class scores, and the boxes they start from.

A detector is an architecture with a `Detector`. Its outputs are two arrays: box numbers of shape
(batch, predictions, 4 * bins) and class scores of shape (batch, predictions, scores), before any
softmax or sigmoid. The predictions are ordered by level, row, column and anchor of a cell. The
coder defines how both become boxes:

- "ssd" (Liu et al., 2016): offsets of centre, width and height from an anchor, divided by the
  variances 0.1 and 0.2; softmax over the background and the classes.
- "yolo": distances from a point to the left, top, right and bottom side of the box, in strides,
  each the mean of a distribution over `bins` whole numbers (Li et al., 2020); a sigmoid per class.
- "yolov5": offsets from an anchor; sigmoids, for objectness and per class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.core.schema import Count, Positive
from nas.core.text import shown

Floats = NDArray[np.float32]
MapSize = tuple[int, int]
"""Rows and columns of a map."""

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
"""The factors by which the "ssd" numbers of centres and of sizes are multiplied."""
MAX_GROWTH = log(1000 / 16)
"""An "ssd" box grows at most by the exponential of this, which keeps numbers finite."""
EXTRA_SCORES = {"ssd": 1, "yolo": 0, "yolov5": 1}
"""By coder: the number of scores before the classes, for the background or for objectness."""
MAX_CLASSES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The maps of one scale, given by the places of the blocks that output them.

    `anchors` are the widths and heights of the boxes that each cell starts from, as fractions of
    the side of the input; without any, a cell has one point.
    """

    boxes: str
    classes: str
    anchors: tuple[tuple[Positive, Positive], ...] = ()

    @property
    def size(self) -> int:
        """The number of predictions per cell."""
        return max(len(self.anchors), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """How the outputs of a network become boxes; `classes` do not include the background."""

    coder: str
    classes: Count
    levels: tuple[Level, ...] = field(default=())
    bins: Count = 1

    def __post_init__(self) -> None:
        """Reject an unknown coder, and levels that do not fit it."""
        if self.coder not in EXTRA_SCORES:
            known = ", ".join(EXTRA_SCORES)
            raise BadValue(f"coder must be one of {known}, not {shown(self.coder)}", "coder")
        if not 1 <= self.classes <= MAX_CLASSES:
            text = f"classes must be 1 to {MAX_CLASSES:,}, not {self.classes}"
            raise BadValue(text, "classes")
        if not self.levels:
            raise BadValue("a detector needs at least one level", "levels")
        if any(bool(level.anchors) == (self.coder == "yolo") for level in self.levels):
            some = "has no anchors" if self.coder == "yolo" else "needs anchors at every level"
            raise BadValue(f"the coder {self.coder} {some}", "levels")

    @property
    def scores(self) -> int:
        """The number of scores per prediction, including background or objectness."""
        return self.classes + EXTRA_SCORES[self.coder]

    @property
    def outputs(self) -> dict[str, int]:
        """The channels of the detector's output blocks, by their places."""
        boxes = {level.boxes: level.size * self.numbers for level in self.levels}
        return boxes | {level.classes: level.size * self.scores for level in self.levels}

    @property
    def fixed_params(self) -> int:
        """The number of fixed weights of the mean over bins, elsewhere a convolution."""
        return self.bins if self.bins > 1 else 0

    @property
    def numbers(self) -> int:
        """The number of box numbers per prediction."""
        return 4 * self.bins


MIN_SCORE, OVERLAP = 0.001, 0.6
"""The default thresholds, low enough for average precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NmsSettings:
    """Which boxes are kept.

    A box is kept if its probability is above `score` and its IoU with no better box of its class
    is above `overlap`; of these, the best `most` of an image. Only the best `candidates` of an
    image are considered.
    """

    score: float = MIN_SCORE
    overlap: float = OVERLAP
    candidates: int = 2000
    most: int = 300


def default_nms(detector: Detector) -> NmsSettings:
    """Return the default limits: 100 boxes per image for "ssd", 300 for the others."""
    return replace(NmsSettings(), most=100) if detector.coder == "ssd" else NmsSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Priors:
    """Where each prediction starts, in pixels of the input, in the order of the outputs.

    `centres` and `sizes` have shape (predictions, 2), x or width first; `strides` has shape
    (predictions,). Without anchors, the sizes are the strides.
    """

    centres: Floats
    sizes: Floats
    strides: Floats

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.strides)

    @property
    def corners(self) -> Floats:
        """Left, top, right and bottom, shape (predictions, 4); they may exceed the image."""
        half = self.sizes / 2
        return np.concatenate([self.centres - half, self.centres + half], axis=1)


def priors(detector: Detector, grids: Sequence[MapSize], side: int) -> Priors:
    """Return the priors for maps of sizes `grids`, one per level, on an input of `side` pixels."""
    parts = [
        _of_level(level, grid, side) for level, grid in zip(detector.levels, grids, strict=True)
    ]
    centres, sizes, strides = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Priors(centres=centres, sizes=sizes, strides=strides)


def _of_level(level: Level, grid: MapSize, side: int) -> tuple[Floats, Floats, Floats]:
    rows, columns = grid
    stride = np.float32(side / columns)
    y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    cells = np.stack([x * side / columns, y * side / rows], axis=-1).reshape(-1, 2)
    own = np.array(level.anchors or ((1 / columns, 1 / rows),), np.float64) * side
    centres = np.repeat(cells, level.size, axis=0).astype(np.float32)
    sizes = np.tile(own, (len(cells), 1)).astype(np.float32)
    return centres, sizes, np.full(len(centres), stride, np.float32)


def plain_detector(detector: Detector) -> dict[str, Any]:
    """Return `detector` as it is stored in an architecture file."""
    return {
        "coder": str(detector.coder),
        "classes": detector.classes,
        **({"bins": detector.bins} if detector.bins != 1 else {}),
        "levels": [_plain_level(level) for level in detector.levels],
    }


def _plain_level(level: Level) -> dict[str, Any]:
    anchors = [list(map(float, anchor)) for anchor in level.anchors]
    places = {"boxes": str(level.boxes), "classes": str(level.classes)}
    return places | ({"anchors": anchors} if anchors else {})
