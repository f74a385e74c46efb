"""Batches: the same on every run, resumable, read ahead, and cleaned up."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")

from nas.core.errors import BadFile, BadValue  # noqa: E402
from nas.training.augment import Augment  # noqa: E402
from nas.training.batches import Batches, count_batches  # noqa: E402
from nas.training.data import Data, Images  # noqa: E402
from nas.training.datasets._arrays import from_arrays  # noqa: E402

pytestmark = pytest.mark.torch

COUNT, SIDE = 50, 8
EVERYTHING = Augment(flip=True, crop=0.5, randaugment=(1, 5), erasing=0.3, mixup=0.2)


@pytest.fixture
def data() -> Data:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(COUNT)
    images = from_arrays(pixels, np.arange(COUNT, dtype=np.int64) % 4)
    return Data(
        name="noise",
        classes=("a", "b", "c", "d"),
        train=images,
        val=images,
        test=None,
        mean=(0.5, 0.4, 0.3),
        deviation=(0.2, 0.25, 0.3),
        fingerprint="0" * 16,
        notes=(),
    )


@pytest.fixture
def make(data: Data) -> Callable[..., Batches]:
    values = {"batch": 8, "side": SIDE, "seed": 0, "epoch": 0, "shuffle": True, "threads": 2}

    def batches(images: Images | None = None, **changed: Any) -> Batches:
        return Batches(images or data.train, data=data, **(values | changed))

    return batches


def _numbers(batches: Batches) -> list[int]:
    """Return the numbers of the images, from their first pixels."""
    return [
        round(float(x) * 0.2 * 255 + 127.5) for images, _ in batches for x in images[:, 0, 0, 0]
    ]


def _same(one: Any, two: Any) -> bool:
    return all(torch.equal(a, b) for pair in zip(one, two, strict=True) for a, b in zip(*pair))  # noqa: B905


def test_every_image_comes_once_with_its_label(make: Callable[..., Batches]) -> None:
    numbers = _numbers(make())
    assert sorted(numbers) == list(range(COUNT))
    assert numbers != sorted(numbers)
    labels = torch.cat([labels for _, labels in make()])
    assert labels.dtype == torch.int64
    assert labels.tolist() == [number % 4 for number in numbers]
    assert _numbers(make(shuffle=False)) == list(range(COUNT))


def test_images_are_normalised_and_channels_last(data: Data, make: Callable[..., Batches]) -> None:
    images, _ = next(iter(make(shuffle=False)))
    raw = torch.from_numpy(data.train.read(np.arange(8), SIDE)).float() / 255
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (data.mean, data.deviation))
    assert torch.allclose(images, (raw - mean) / deviation, atol=1e-6)
    assert images.dtype == torch.float32
    for augment in (None, Augment(flip=True), EVERYTHING):
        for images, _ in make(augment=augment):
            assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augment", [None, EVERYTHING])
def test_the_rest_of_an_epoch_is_the_same_from_any_start(
    augment: Augment | None, make: Callable[..., Batches]
) -> None:
    whole = list(make(augment=augment))
    assert len(whole) == len(make()) == 7
    for start in (0, 1, 5, 6):
        rest = make(augment=augment, start=start, threads=1, ahead=1)
        assert len(rest) == 7 - start
        assert _same(list(rest), whole[start:])
        assert _same(list(rest), whole[start:])  # again
    assert list(make(start=7)) == list(make(start=99)) == []


def test_epochs_and_seeds_differ(make: Callable[..., Batches]) -> None:
    orders = [_numbers(make(seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    first = [
        next(iter(make(shuffle=False, augment=Augment(crop=0.5), seed=seed, epoch=epoch)))[0]
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({images.numpy().tobytes() for images in first}) == 4


def test_batches_of_an_epoch_are_varied_differently(
    data: Data, make: Callable[..., Batches]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), dtype=np.uint8)
    same = from_arrays(np.repeat(pixels, 16, axis=0), np.zeros(16, np.int64))
    one, two = (images for images, _ in make(same, augment=Augment(crop=0.3)))
    assert not torch.equal(one, two)


@pytest.mark.parametrize(
    ("drop", "batch", "sizes"),
    [
        (False, 20, [20, 20, 10]),
        (True, 20, [20, 20]),
        (True, 25, [25, 25]),
        (True, 60, [50]),
        (False, 60, [50]),
    ],
)
def test_a_small_last_batch_may_be_dropped(
    drop: bool, batch: int, sizes: list[int], make: Callable[..., Batches]
) -> None:
    batches = make(batch=batch, drop_last=drop)
    assert [len(labels) for _, labels in batches] == sizes
    assert len(batches) == len(sizes) == count_batches(COUNT, batch, drop_last=drop)


def test_mixed_labels_are_shares(make: Callable[..., Batches]) -> None:
    for images, labels in make(augment=Augment(mixup=0.5), batch=20):
        assert labels.shape == (len(images), 4)
        assert torch.allclose(labels.sum(1), torch.ones(len(images)))


def test_the_global_random_state_is_left_alone(make: Callable[..., Batches]) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = list(make(augment=EVERYTHING))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    assert _same(first, list(make(augment=EVERYTHING)))


def _with_read(data: Data, read: Callable[..., Any]) -> Images:
    return replace(data.train, read=read)


def test_what_fails_while_reading_is_raised_to_the_trainer(
    data: Data, make: Callable[..., Batches]
) -> None:
    def read(indices: Any, side: int) -> Any:
        if 20 in indices:
            raise BadFile("twenty is corrupt")
        return data.train.read(indices, side)

    before = threading.active_count()
    batches = iter(make(_with_read(data, read), shuffle=False))
    assert [len(next(batches)[1]) for _ in range(2)] == [8, 8]
    with pytest.raises(BadFile, match="twenty is corrupt"):
        list(batches)
    assert threading.active_count() == before


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_leaving_early_leaves_no_threads(
    taken: int, data: Data, make: Callable[..., Batches]
) -> None:
    def slow(indices: Any, side: int) -> Any:
        time.sleep(0.01)
        return data.train.read(indices, side)

    before = threading.active_count()
    batches = iter(make(_with_read(data, slow), augment=Augment(crop=0.5)))
    for _ in range(taken):
        next(batches)
    batches.close()
    assert threading.active_count() == before
    for _ in make():
        break
    assert threading.active_count() == before


def test_batches_are_made_while_the_trainer_works(data: Data, make: Callable[..., Batches]) -> None:
    read: list[int] = []

    def remember(indices: Any, side: int) -> Any:
        read.append(len(indices))
        return data.train.read(indices, side)

    batches = iter(make(_with_read(data, remember), batch=10, threads=1, ahead=3))
    next(batches)
    for _ in range(200):  # the first batch and three ahead, then no more
        if sum(read) == 40:
            break
        time.sleep(0.01)
    time.sleep(0.02)
    assert sum(read) == 40
    batches.close()


def test_large_batches_are_read_by_several_threads(
    data: Data, make: Callable[..., Batches]
) -> None:
    together = threading.Barrier(3, timeout=10)  # raises unless three threads meet

    def meet(indices: Any, side: int) -> Any:
        together.wait()
        return data.train.read(indices, side)

    images, _ = next(iter(make(_with_read(data, meet), batch=48, threads=3, drop_last=True)))
    assert len(images) == 48


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 7}, "sides of 8 pixels at least"),
        ({"batch": 0}, "batch must be 1 or more, not 0"),
        ({"start": -1}, "start must be 0 or more, not -1"),
        ({"ahead": 0}, "ahead must be 1 or more"),
        ({"threads": -1}, "threads must be 0 or more"),
    ],
)
def test_impossible_sizes_are_refused(
    values: dict[str, int], message: str, make: Callable[..., Batches]
) -> None:
    with pytest.raises(BadValue, match=message):
        make(**values)
