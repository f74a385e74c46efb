"""Average precision in cases that can be computed by hand."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("faster_coco_eval")

from nas.core.errors import MissingPackage  # noqa: E402
from nas.training.boxes import Detections  # noqa: E402
from nas.training.detection.metric import AveragePrecision, average_precision  # noqa: E402
from nas.training.objects import Objects, gathered  # noqa: E402

pytestmark = pytest.mark.torch

SIDE = 64
Row = tuple[int, int, float, float, float, float]
"""An image, a class, and corners in pixels."""


def objects(
    *rows: Row, crowd: tuple[int, ...] = (), width: int = 128, height: int = 192
) -> Objects:
    """Return objects in three images of 128 x 192 pixels, by their corners in those."""
    table = np.array(rows, dtype=float).reshape(-1, 6)
    return gathered(
        table[:, 0].astype(np.int64),
        corners=table[:, 2:] / [width, height, width, height],
        labels=table[:, 1].astype(np.int64),
        crowd=np.isin(np.arange(len(rows)), crowd),
        sizes=np.array([[width, height]] * 3),
    )


def found(*rows: tuple[int, int, float, float, float, float, float]) -> list[Detections]:
    """Return boxes in pixels of images resized to 64 x 64, given in the form of objects."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)
    result = []
    for image in range(3):
        own = table[table[:, 0] == image]
        corners = own[:, 2:6] * torch.tensor([SIDE / 128, SIDE / 192] * 2)
        result.append(Detections(corners=corners, labels=own[:, 1].long(), scores=own[:, 6]))
    return result


def scored(what: list[Detections], truth: Objects, classes: int = 2) -> AveragePrecision:
    return average_precision(what, truth, classes=classes, side=SIDE)


ROWS: tuple[Row, ...] = (
    (0, 0, 10, 10, 60, 60), (0, 1, 70, 20, 90, 40), (1, 0, 0, 0, 120, 180),
)  # fmt: skip


def test_all_found_is_one() -> None:
    result = scored(found(*((*row, 0.9) for row in ROWS)), objects(*ROWS))
    assert result.map == result.map50 == 1
    assert result.by_class == result.by_class50 == (1, 1)
    assert result.by_area == {"small": 1, "medium": 1, "large": 1}


def test_nothing_found_is_nothing() -> None:
    result = scored(found(), objects(*ROWS))
    assert (result.map, result.map50, result.by_class) == (0, 0, (0, 0))


def test_boxes_count_in_pixels_of_the_original_images() -> None:
    """A box of 100 x 100 pixels is "large", though it has 50 x 33 where it was found."""
    row = (1, 1, 10, 20, 110, 120)
    result = scored(found((*row, 0.5)), objects(row))
    assert result.by_area == {"small": None, "medium": None, "large": 1}
    assert result.by_class == (None, 1)
    assert result.map == 1, "classes without objects do not count"


def test_objects_are_as_large_as_their_outlines() -> None:
    """A thin object in a box of 100 x 100 pixels is "small"; without an area the box counts."""
    rows = ((0, 1, 10, 20, 110, 120), (1, 1, 10, 20, 110, 120))
    truth = replace(objects(*rows), areas=np.array([900.0, np.nan]))
    result = scored(found((*rows[0], 0.5), (*rows[1], 0.9)), truth)
    assert result.by_area == {"small": 1, "medium": None, "large": 1}
    others = truth.where(truth.owners == 1)
    assert others.areas is not None
    assert np.isnan(others.areas).all()
    assert scored(found((*rows[1], 0.9)), others).by_area == {
        "small": None,
        "medium": None,
        "large": 1,
    }


def test_a_box_counts_up_to_its_overlap() -> None:
    """Shifted by a tenth of its side, a box has an IoU of 9 / 11: above 0.80, below 0.85."""
    result = scored(found((0, 0, 10, 0, 110, 100, 0.9)), objects((0, 0, 0, 0, 100, 100)))
    assert result.map == pytest.approx(7 / 10)
    assert result.map50 == 1


def test_better_scored_mistakes_cost_precision() -> None:
    """One of two objects is found, after a mistake: precision 1/2 up to a recall of 1/2."""
    truth = objects((0, 0, 0, 0, 50, 50), (0, 0, 60, 60, 110, 110))
    what = found((0, 0, 0, 100, 50, 150, 0.9), (0, 0, 0, 0, 50, 50, 0.8))
    result = scored(what, truth)
    assert result.map50 == pytest.approx(0.5 * 51 / 101)
    right_first = found((0, 0, 0, 100, 50, 150, 0.8), (0, 0, 0, 0, 50, 50, 0.9))
    assert scored(right_first, truth).map50 == pytest.approx(51 / 101)


def test_the_class_and_the_image_must_be_right() -> None:
    truth = objects((0, 0, 0, 0, 50, 50))
    assert scored(found((0, 1, 0, 0, 50, 50, 0.9)), truth).map == 0
    assert scored(found((1, 0, 0, 0, 50, 50, 0.9)), truth).map == 0


def test_crowds_are_neither_found_nor_missed() -> None:
    rows: tuple[Row, ...] = ((0, 0, 0, 0, 50, 50), (0, 0, 60, 60, 128, 190))
    truth = objects(*rows, crowd=(1,))
    exact = (0, 0, 0, 0, 50, 50, 0.5)
    assert scored(found(exact), truth).map == 1
    in_crowd = ((0, 0, 70, 70, 100, 100, 0.9), (0, 0, 60, 90, 120, 180, 0.8))
    assert scored(found(exact, *in_crowd), truth).map == 1
    assert scored(found(exact, *in_crowd), objects(*rows)).map < 1


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.training.detection.metric.find_spec", lambda _: None)
    with pytest.raises(
        MissingPackage, match=r"faster-coco-eval; install it: pip install 'nas\[data\]'"
    ):
        scored(found(), objects())
