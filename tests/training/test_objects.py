"""Objects of a split: selected by image, padded, split, batched and checked."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import BadValue, NasError  # noqa: E402
from nas.training.batches import Batches  # noqa: E402
from nas.training.box_augment import BoxAugment  # noqa: E402
from nas.training.boxes import Boxes  # noqa: E402
from nas.training.data import Data, Images, check_task  # noqa: E402
from nas.training.datasets._split import split  # noqa: E402
from nas.training.label_checks import check_labels, label_notes  # noqa: E402
from nas.training.objects import Objects, gathered  # noqa: E402

pytestmark = pytest.mark.torch


def _objects() -> Objects:
    """Return those of four images: two, none, three including a crowd, and one."""
    return gathered(
        np.array([2, 0, 3, 2, 0, 2]),
        corners=np.linspace(0, 1, 24).reshape(6, 4),
        labels=np.array([0, 1, 2, 3, 4, 5]),
        crowd=np.array([False, False, False, True, False, False]),
        sizes=np.array([[640, 480]] * 4),
    )


def _data(objects: Objects, **changed: Any) -> Data:
    def read(rows: Any, side: int) -> Any:
        return np.repeat(np.uint8(rows), 3 * side**2).reshape(-1, 3, side, side)

    images = Images(labels=objects, read=read)
    known: dict[str, Any] = {
        "name": "boxes:/a", "classes": tuple("abcdef"), "train": images, "val": images,
        "test": None, "mean": (0.0, 0.0, 0.0), "deviation": (1.0, 1.0, 1.0),
        "fingerprint": "0" * 16, "notes": (), "task": "detection",
    }  # fmt: skip
    return Data(**(known | changed))


def test_objects_are_sorted_by_image_and_taken_by_image() -> None:
    objects = _objects()
    assert (len(objects), objects.counts.tolist()) == (4, [2, 0, 3, 1])
    assert objects.labels.tolist() == [1, 4, 0, 3, 5, 2]
    assert objects.owners.tolist() == [0, 0, 2, 2, 2, 3]
    taken = objects[np.array([3, 2, 1, 3])]
    assert taken.labels.tolist() == [2, 0, 3, 5, 2]
    assert taken.counts.tolist() == [1, 3, 0, 1]
    assert (taken.corners[0] == taken.corners[4]).all()
    assert objects[np.array([False, True, False, True])].labels.tolist() == [2]
    assert len(objects[:0]) == 0


def test_padded_objects_are_in_pixels_and_without_crowds() -> None:
    corners, labels = _objects().padded(10)
    assert labels.tolist() == [[1, 4], [-1, -1], [0, 5], [2, -1]]
    assert corners[0, 0] == pytest.approx(np.linspace(0, 1, 24)[4:8] * 10)
    assert (corners[1] == 0).all()
    assert _objects()[np.array([1])].padded(8)[1].tolist() == [[-1]]


def test_arrays_that_do_not_fit_are_refused() -> None:
    whole = _objects()
    values = {name: getattr(whole, name) for name in Objects.__slots__}
    with pytest.raises(BadValue, match="arrays of 4 images with 5 objects do not fit"):
        Objects(**values | {"labels": whole.labels[1:]})
    with pytest.raises(BadValue, match="starts must rise from 0 to 6"):
        Objects(**values | {"starts": np.array([0, 3, 2, 5, 6])})


def test_images_with_objects_are_split_by_image() -> None:
    rest, part = split(_objects(), (0.25,), seed=0)
    assert sorted([*rest, *part]) == [0, 1, 2, 3]
    assert len(part) == 1


def test_batches_give_boxes_beside_their_images() -> None:
    data = _data(_objects())

    def batches(**changed: Any) -> Batches:
        values: dict[str, Any] = {"batch": 3, "side": 8, "seed": 0, "epoch": 0, "shuffle": True}
        return Batches(data.train, data=data, **values | changed)

    seen: dict[int, list[int]] = {}
    for images, boxes in batches():
        assert isinstance(boxes, Boxes)
        assert boxes.corners.shape == (*boxes.labels.shape, 4)
        assert boxes.corners.dtype == torch.float32
        for image, labels in zip(images, boxes.labels, strict=True):
            seen[round(float(image[0, 0, 0]) * 255)] = [x for x in labels.tolist() if x >= 0]
    assert seen == {0: [1, 4], 1: [], 2: [0, 5], 3: [2]}
    augment = BoxAugment(mosaic=1.0, flip=True)
    whole, again = ([*batches(augment=augment)] for _ in range(2))
    rest = [*batches(augment=augment, start=1)]
    for one, two in [*zip(whole, again, strict=True), (whole[1], rest[0])]:
        assert torch.equal(one[0], two[0])
        assert all(torch.equal(a, b) for a, b in zip(one[1], two[1], strict=True))


def test_data_of_another_task_are_refused_with_those_that_fit() -> None:
    boxes = _data(_objects())
    labelled = _data(_objects(), name="digits", task="classification")
    check_task(boxes, "detection")
    check_task(labelled, "classification")
    with pytest.raises(NasError, match=r"digits has labels of whole images; a detector needs boxe"):
        check_task(labelled, "detection")
    with pytest.raises(NasError, match=r"boxes:/a has boxes; a classifier needs .*imagefolder:"):
        check_task(boxes, "classification")


def test_labels_are_checked_by_task() -> None:
    objects, none = _objects(), _objects()[np.array([1])]
    classes = tuple("abcdef")
    check_labels("x", "detection", classes, {"train": objects, "val": objects})
    for task, labels, names, message in (
        ("detection", none, classes, "x: there are no boxes in the 1 images of train"),
        ("detection", objects, ("a",), "x: 5 labels of train are outside of 0..0, the first is 1"),
        ("detection", objects[:0], classes, "x: there are no images in train"),
        ("detection", objects, (), "x: found no classes; a detector"),
        ("detection", np.zeros(3, np.int64), classes, "labels of train are ndarray"),
        ("classification", objects, classes, "labels of train are Objects"),
        ("keypoints", objects, classes, "the task is keypoints; expected one of"),
    ):
        with pytest.raises(NasError, match=message):
            check_labels("x", task, names, {"train": labels})


def test_too_many_boxes_in_an_image_are_refused() -> None:
    many = gathered(
        np.zeros(10_001, np.int64),
        corners=np.ones((10_001, 4)),
        labels=np.zeros(10_001, np.int64),
        crowd=np.zeros(10_001, bool),
        sizes=np.ones((1, 2), np.int64),
    )
    with pytest.raises(NasError, match="image 0 of train has 10,001 boxes, more than 10,000"):
        check_labels("x", "detection", ("a",), {"train": many})


def test_uneven_objects_are_noted() -> None:
    objects = _objects()
    assert label_notes(tuple("abcdef"), {"train": objects, "val": objects[np.array([0, 1])]}) == (
        "images without objects: 1 of train, 1 of val",
        "no training objects of d: they are never found",
        "no validation objects of a, c, f: mistakes there do not show",
    )
