"""Average precision as COCO defines it, by faster-coco-eval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import missing_package
from nas.training.boxes import Detections
from nas.training.objects import Objects

if TYPE_CHECKING:
    from faster_coco_eval import COCO

_AREAS = ("small", "medium", "large")
_ALL, _MOST = 0, -1
"""The index of all areas, and of the most boxes of an image that count (100)."""
_HALF = 0
"""The index of an IoU of 0.50; the others rise to 0.95 by 0.05."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePrecision:
    """Average precisions, fractions: over IoUs of 0.50 to 0.95 and classes, as COCO has them.

    `map50` counts at an IoU of 0.50. `by_class` and `by_class50` are those of each class, `by_area`
    those of small (below 32x32 pixels), medium and large objects (from 96x96 on); None where the
    images have no such objects.
    """

    map: float
    map50: float
    by_class: tuple[float | None, ...]
    by_class50: tuple[float | None, ...]
    by_area: Mapping[str, float | None]


def check_metric() -> None:
    """Refuse to begin what could not be scored.

    Raises:
        MissingPackage: if faster-coco-eval is not installed.
    """
    if find_spec("faster_coco_eval") is None:
        error = ModuleNotFoundError(name="faster_coco_eval")
        raise missing_package(error, wanted_by="average precision")


def average_precision(
    found: Sequence[Detections], objects: Objects, *, classes: int, side: int
) -> AveragePrecision:
    """Return the average precision of what was `found` in the images of `objects`.

    Boxes are in pixels of images resized to `side`, and count in those of the original images. What
    is found in a crowd counts neither for nor against.

    Raises:
        MissingPackage: if faster-coco-eval is not installed.
    """
    check_metric()
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_truth(objects, classes))
    result = COCOeval_faster(truth, _results(truth, found, objects, side), iouType="bbox")
    result.print_function = _silent
    result.evaluate()
    result.accumulate()
    # (IoUs, recalls, classes, areas, most boxes); -1 where there are no objects
    table: NDArray[np.float64] = result.eval["precision"]
    every = table[..., _ALL, _MOST]
    return AveragePrecision(
        map=_mean(every) or 0.0,
        map50=_mean(every[_HALF]) or 0.0,
        by_class=tuple(_mean(every[:, :, number]) for number in range(classes)),
        by_class50=tuple(_mean(every[_HALF, :, number]) for number in range(classes)),
        by_area={name: _mean(table[..., area, _MOST]) for area, name in enumerate(_AREAS, start=1)},
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of what is known, as COCO's code does."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _truth(objects: Objects, classes: int) -> dict[str, Any]:
    """Return the objects as the content of COCO's file."""
    low, size = _pixels(objects.corners, objects.sizes[objects.owners])
    areas = np.prod(np.array(size).reshape(-1, 2), axis=1)
    if objects.areas is not None:
        areas = np.where(np.isnan(objects.areas), areas, objects.areas)
    columns = (objects.owners.tolist(), objects.labels.tolist(), low, size, areas.tolist())
    rows = enumerate(zip(*columns, strict=True), start=1)
    return {
        "images": [
            {"id": image, "width": int(width), "height": int(height)}
            for image, (width, height) in enumerate(objects.sizes)
        ],
        "categories": [{"id": number, "name": str(number)} for number in range(classes)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": [*corner, *sides],
                "area": area,
                "iscrowd": int(objects.crowd[number - 1]),
            }
            for number, (image, label, corner, sides, area) in rows
        ],
    }


def _results(truth: "COCO", found: Sequence[Detections], objects: Objects, side: int) -> "COCO":
    rows = []
    for image, one in enumerate(found):
        corners = one.corners.double().cpu().numpy() / side
        low, size = _pixels(corners, objects.sizes[image])
        labels, scores = one.labels.tolist(), one.scores.double().tolist()
        rows += [
            {"image_id": image, "category_id": label, "bbox": [*corner, *sides], "score": score}
            for label, corner, sides, score in zip(labels, low, size, scores, strict=True)
        ]
    return truth.loadRes(rows)


def _pixels(corners: NDArray[Any], sizes: NDArray[Any]) -> tuple[list[list[float]], ...]:
    """Return the upper left corners and the sides of boxes given as fractions."""
    low = corners[:, :2].astype(np.float64) * sizes
    return low.tolist(), (corners[:, 2:].astype(np.float64) * sizes - low).tolist()


def _silent(*said: object) -> None:
    """Take what the library would log."""
