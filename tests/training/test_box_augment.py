"""Boxes stay on their objects under every augmentation."""

from dataclasses import fields
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import BadValue  # noqa: E402
from nas.training import box_ops as ops  # noqa: E402
from nas.training import image_ops  # noqa: E402
from nas.training.box_augment import BoxAugment  # noqa: E402
from nas.training.boxes import Boxes  # noqa: E402

pytestmark = pytest.mark.torch

SIDE, COUNT = 64, 12


def _scenes() -> tuple[torch.Tensor, Boxes]:
    """Return grey images, each with one or two bright rectangles, red for 0 and green for 1."""
    generator = torch.Generator().manual_seed(3)
    images = torch.full((COUNT, 3, SIDE, SIDE), 0.5)
    corners, labels = torch.zeros(COUNT, 3, 4), torch.full((COUNT, 3), -1)
    for index in range(COUNT):
        for number in range(index % 3):  # every third is empty
            low = torch.randint(4 + 30 * number, 14 + 30 * number, (2,), generator=generator)
            high = low + torch.randint(8, 20, (2,), generator=generator)
            (left, top), (right, bottom) = low.tolist(), high.tolist()
            images[index, :, top:bottom, left:right] = 0
            images[index, number, top:bottom, left:right] = 1
            corners[index, number] = torch.tensor([left, top, right, bottom])
            labels[index, number] = number
    return images, Boxes(corners, labels)


def _found(image: torch.Tensor, label: int) -> list[float] | None:
    """Return the corners of the area in the colour of a class."""
    there = (image[label] > 0.75) & (image[1 - label] < 0.25)
    rows, columns = there.any(1).nonzero()[:, 0], there.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return [float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1]


def _check(images: torch.Tensor, boxes: Boxes, tolerance: float) -> int:
    """Compare boxes with the visible areas; an image has a class once at most."""
    compared = 0
    for image, corners, labels in zip(images, boxes.corners, boxes.labels, strict=True):
        for label in (0, 1):
            own = corners[labels == label]
            if len(own) == 1:
                seen = _found(image, label)
                assert seen is not None
                assert seen == pytest.approx(own[0].tolist(), abs=tolerance)
                compared += 1
    return compared


def _varied(seed: int, **changed: Any) -> tuple[torch.Tensor, Boxes]:
    images, boxes = _scenes()
    generator = torch.Generator().manual_seed(seed)
    return BoxAugment(**changed).apply(images, boxes, generator=generator)


def test_the_default_changes_nothing() -> None:
    images, boxes = _scenes()
    made, same = _varied(0)
    assert torch.equal(made, images)
    assert torch.equal(same.corners, boxes.corners)
    assert torch.equal(same.labels, boxes.labels)


def test_half_of_the_images_are_mirrored_with_their_boxes() -> None:
    images, boxes = _scenes()
    made, turned = _varied(0, flip=True)
    assert _check(made, turned, 0) == 12
    changed = (made != images).flatten(1).any(1)
    assert 2 <= int(changed.sum()) <= 7
    back = ops.mirror(made, turned, torch.Generator().manual_seed(0))
    assert torch.equal(back[0], images)
    assert torch.equal(back[1].corners, boxes.corners)


@pytest.mark.parametrize("scales", [(0.5, 0.5), (2.0, 2.0), (0.4, 2.5)])
def test_scaled_boxes_stay_on_what_they_enclose(scales: tuple[float, float]) -> None:
    compared = sum(_check(*_varied(seed, zoom=scales, visible=0.0), 1.5) for seed in range(3))
    assert compared > 15


def test_a_scale_of_a_half_shows_everything_at_half_the_size() -> None:
    _, boxes = _scenes()
    _, small = _varied(1, zoom=(0.5, 0.5))
    assert torch.equal(small.labels, boxes.labels)
    whole, half = (x.corners[..., 2:] - x.corners[..., :2] for x in (boxes, small))
    assert torch.allclose(half, whole / 2, atol=1e-4)


def test_iou_crops_enlarge_parts_with_boxes() -> None:
    images, boxes = _scenes()
    there = (boxes.labels >= 0).any(1)
    made, cut = _varied(0, iou_crop=1.0, visible=0.0)
    assert _check(made, cut, 2.5) > 6
    cropped = 0
    for seed in range(6):
        made, cut = _varied(seed, iou_crop=1.0, visible=0.0)
        changed = (made != images).flatten(1).any(1)
        assert not (changed & ~there).any()  # an image without a box is not cropped
        assert (cut.labels >= 0).any(1)[there].all()  # and some box always remains
        cropped += int(changed.sum())
    assert 6 < cropped < 6 * there.sum()  # the others have no window that overlaps enough


def test_a_mosaic_holds_four_images_without_gaps() -> None:
    _, boxes = _scenes()
    made, joined = _varied(0, mosaic=1.0, visible=0.0)
    assert joined.labels.shape[1] <= 4 * boxes.labels.shape[1]
    assert _check(made, joined, 1.5) > 3
    counts = (joined.labels >= 0).sum(1)
    assert counts.max() > 2  # no single image has as many
    assert (joined.labels[:, 0] >= 0).sum() == (counts > 0).sum()  # objects come first
    colours = torch.arange(COUNT)[:, None, None, None].expand(COUNT, 3, SIDE, SIDE) / 20 + 0.3
    tiles, _ = ops.mosaic(
        colours, boxes, 1.0, visible=0.3, generator=torch.Generator().manual_seed(1)
    )
    corner = tiles[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]] * 20 - 6
    assert torch.allclose(corner, corner.round(), atol=1e-3)  # whole images, up to the corners
    assert torch.allclose(corner[:, 0], torch.arange(COUNT).float(), atol=1e-3)  # and its own first


def test_a_cut_box_needs_its_visible_share() -> None:
    images = torch.zeros(1, 3, SIDE, SIDE)
    boxes = Boxes(torch.tensor([[[0.0, 0, 40, 10], [28, 0, 68, 10]]]), torch.tensor([[0, 1]]))
    window = torch.tensor([[0.0, 0.0, 0.5, 0.5]])  # up to pixel 32
    _, kept = ops.crop_to_windows(images, boxes, window, visible=0.5)
    assert kept.labels.tolist() == [[0, -1]]  # 32 of 40 columns are left, 4 of 40
    assert kept.corners[0].tolist() == [[0, 0, 64, 20], [0, 0, 0, 0]]


def test_colours_leave_boxes_and_greys_hue_alone() -> None:
    images, boxes = _scenes()
    made, same = _varied(0, colour=1.0)
    assert torch.equal(same.corners, boxes.corners)
    assert (made != images).any()
    assert 0 <= made.min() <= made.max() <= 1
    empty = made[0]
    assert torch.allclose(empty, empty[:1].expand(3, -1, -1), atol=1e-5)


def test_everything_follows_from_the_generator() -> None:
    everything: dict[str, Any] = {
        "mosaic": 0.5, "zoom": (0.5, 2.0), "iou_crop": 0.5, "flip": True, "colour": 1.0
    }  # fmt: skip
    assert set(everything) | {"visible"} == {field.name for field in fields(BoxAugment)}
    one, two, other = (_varied(seed, **everything) for seed in (0, 0, 1))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1].corners, two[1].corners)
    assert not torch.equal(one[0], other[0])
    corners, labels = one[1]
    inside = corners[labels >= 0]
    assert ((inside >= 0) & (inside <= SIDE)).all()
    assert (inside[:, 2:] - inside[:, :2] >= 1).all()
    assert (corners[labels < 0] == 0).all()


def test_images_without_any_boxes_pass_through_everything() -> None:
    images, none = torch.rand(2, 3, 32, 32), Boxes(torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    augment = BoxAugment(mosaic=1, zoom=(0.5, 2), iou_crop=1, flip=True, colour=1)
    made, boxes = augment.apply(images, none, generator=torch.Generator().manual_seed(0))
    assert made.shape == images.shape
    assert (boxes.labels == -1).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mosaic": 1.1}, "mosaic must be a probability, not 1.1"),
        ({"iou_crop": -1}, "iou_crop must be a probability"),
        ({"colour": 2}, "colour must be from 0 to 1, not 2"),
        ({"visible": -0.1}, "visible must be from 0 to 1"),
        ({"zoom": (2.0, 0.5)}, r"zoom must be \(least, most scale\) from 0.125 to 8"),
        ({"zoom": (0.0, 1.0)}, "zoom must be"),
    ],
)
def test_values_out_of_range_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        BoxAugment(**changed)


def test_a_third_of_a_turn_of_hue_makes_red_green() -> None:
    third = torch.full((1, 1, 1), 2 * torch.pi / 3)
    turned = image_ops._turn(third)[0] @ torch.eye(3)
    assert torch.allclose(turned, torch.eye(3).roll(1, 0), atol=1e-6)
    grey = image_ops._saturate(torch.zeros(1, 1, 1))[0] @ torch.tensor([1.0, 0, 0])
    assert grey.tolist() == pytest.approx([0.299] * 3)
