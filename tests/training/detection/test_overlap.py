"""Overlaps of boxes against results by hand."""

from math import atan, pi

import pytest

torch = pytest.importorskip("torch")

from nas.training.detection.overlap import areas, ciou, iou, pairwise_iou  # noqa: E402

pytestmark = pytest.mark.torch

UNIT = torch.tensor([0.0, 0.0, 2.0, 2.0])
SHIFTED = torch.tensor([1.0, 1.0, 3.0, 3.0])
FAR = torch.tensor([4.0, 0.0, 6.0, 2.0])
WIDE = torch.tensor([0.0, 0.0, 4.0, 2.0])


def test_areas_of_boxes_turned_inside_out_are_nothing() -> None:
    boxes = torch.stack([UNIT, WIDE, torch.tensor([2.0, 2.0, 0.0, 0.0])])
    assert areas(boxes).tolist() == [4, 8, 0]


def test_iou_of_each_with_each() -> None:
    found = pairwise_iou(torch.stack([UNIT, FAR]), torch.stack([UNIT, SHIFTED, WIDE]))
    assert found.shape == (2, 3)
    torch.testing.assert_close(found, torch.tensor([[1, 1 / 7, 0.5], [0, 0, 0.0]]))


def test_iou_of_pairs_is_the_diagonal() -> None:
    first, second = torch.stack([UNIT, UNIT, WIDE]), torch.stack([SHIFTED, WIDE, SHIFTED])
    torch.testing.assert_close(iou(first, second), pairwise_iou(first, second).diagonal())


def test_boxes_without_an_area_overlap_nothing() -> None:
    empty = torch.zeros(1, 4)
    assert pairwise_iou(empty, empty).item() == 0
    assert torch.isfinite(ciou(empty, empty)).all()


def test_ciou_takes_distance_and_ratio_from_the_overlap() -> None:
    assert ciou(UNIT, UNIT).item() == pytest.approx(1, abs=1e-6)
    assert ciou(UNIT, SHIFTED).item() == pytest.approx(1 / 7 - 2 / 18, abs=1e-6)
    assert ciou(UNIT, FAR).item() == pytest.approx(-16 / 40, abs=1e-6)
    differs = 4 / pi**2 * (atan(2) - atan(1)) ** 2
    wanted = 0.5 - 1 / 20 - differs**2 / (0.5 + differs)
    assert ciou(UNIT, WIDE).item() == pytest.approx(wanted, abs=1e-6)


def test_ciou_pulls_boxes_that_do_not_touch() -> None:
    box = FAR.clone().requires_grad_()
    ciou(box, UNIT).backward()
    assert box.grad is not None
    assert box.grad[0] < 0, "moving it left raises the CIoU"
