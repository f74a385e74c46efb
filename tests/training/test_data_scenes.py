"""Scenes of digits: exact boxes, the same for the same seed."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.errors import NasError
from nas.training.data import load_data
from nas.training.datasets._scenes import CANVAS, Digits, Placed, ink, read
from nas.training.objects import Objects

pytestmark = pytest.mark.torch


def _objects(text: str, *, seed: int = 0) -> tuple[Objects, Objects, Objects]:
    data = load_data(text, seed=seed)
    parts = [part.labels for part in (data.train, data.val, data.test) if part is not None]
    assert all(isinstance(part, Objects) for part in parts)
    return tuple(parts)


def test_scenes_follow_from_their_seed() -> None:
    data, again = load_data("digits_scenes:images=20"), load_data("digits_scenes:images=20")
    other = load_data("digits_scenes:images=20", seed=1)
    rows = np.array([3, 1])
    pixels = data.train.read(rows, 96)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 96, 96), np.uint8)
    assert (pixels == again.train.read(rows, 96)).all()
    assert (pixels[1] == data.train.read(np.arange(20), 96)[1]).all()
    assert (pixels != other.train.read(rows, 96)).any()
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert (data.task, data.mirrored, data.classes) == ("detection", False, tuple("0123456789"))
    assert (data.train.labels.corners == again.train.labels.corners).all()


def test_some_scenes_are_empty_and_boxes_lie_apart() -> None:
    train, val, test = _objects("digits_scenes:images=100")
    assert [len(train), len(val), len(test)] == [100, 50, 50]
    assert 3 <= (train.counts == 0).sum() <= 20
    assert train.counts.max() <= 6
    assert set(train.labels) == set(range(10))
    for start, stop in zip(train.starts, train.starts[1:], strict=False):
        left, top, right, bottom = train.corners[start:stop].T
        shared = (
            (np.minimum(right[:, None], right) > np.maximum(left[:, None], left))
            & (np.minimum(bottom[:, None], bottom) > np.maximum(top[:, None], top))
        )  # fmt: skip
        assert shared.sum() == stop - start  # each only with itself
    heights = (train.corners[:, 3] - train.corners[:, 1]) * CANVAS
    assert heights.min() < 20
    assert heights.max() > 45


def test_boxes_are_those_of_the_ink() -> None:
    pixels = np.zeros((1, 8, 8), np.float32)
    pixels[0, 2:6, 3:5] = 1
    digits = Digits(pixels=pixels, labels=np.zeros(1, np.int64))
    assert ink(pixels[0], 8).shape == (4, 2)
    empty, one = (
        read(digits, (scene,), (0,), np.array([0]), CANVAS).astype(int)
        for scene in ((), (Placed(0, 8, 30, 50),))
    )
    changed = np.abs(empty - one).max(axis=(0, 1)) > 40
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (50, 54, 30, 32)


def test_fewer_classes_and_options_out_of_range() -> None:
    train, _, _ = _objects("digits_scenes:images=20,classes=1")
    assert set(train.labels) == {0}
    for text, message in (
        ("digits_scenes:classes=11", "classes must be from 1 to 10, not 11"),
        ("digits_scenes:images=3", "images must be 10 or more, not 3"),
    ):
        with pytest.raises(NasError, match=message):
            load_data(text)
