"""What a detector finds in some images, beside what is there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.network.detector import Detector, Priors
from nas.training.batches import Batches
from nas.training.boxes import Detections
from nas.training.data import Images
from nas.training.detection.evaluate import detect, objects_of

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnBoxes:
    """Boxes to draw: corners as fractions of the image, labels, and scores where they are found."""

    corners: Floats
    labels: Sequence[int]
    scores: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """An image: `pixels`, uint8 of shape (3, side, side), its size before it was resized.

    `size` are width and height in pixels. `objects` are labelled, `found` is what a detector finds.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    objects: DrawnBoxes
    found: DrawnBoxes


def examples(
    model: nn.Module, batches: Batches, detector: Detector, priors: Priors, *, count: int, side: int
) -> list[Example]:
    """Return `count` images, spread over those of `batches`, for a picture of `side` pixels."""
    every = objects_of(batches)
    rows = np.unique(np.linspace(0, len(every) - 1, count).round().astype(np.int64))
    chosen = every[rows]
    pixels = batches.images.read(rows, side)
    some = Images(labels=chosen, read=lambda at, wanted: batches.images.read(rows[at], wanted))
    few = replace(batches, images=some)
    found = [one for *_, ours in detect(model, few, detector, priors) for one in ours]
    result = []
    for place, one in enumerate(found):
        own = chosen[slice(place, place + 1)]
        objects = DrawnBoxes(corners=own.corners, labels=own.labels.tolist())
        width, height = map(int, own.sizes[0])
        result.append(
            Example(
                pixels=pixels[place],
                size=(width, height),
                objects=objects,
                found=_drawn(one, batches.side),
            )
        )
    return result


def _drawn(found: Detections, side: int) -> DrawnBoxes:
    corners: Any = (found.corners.cpu() / side).clamp(0, 1).numpy()
    return DrawnBoxes(corners=corners, labels=found.labels.tolist(), scores=found.scores.tolist())
