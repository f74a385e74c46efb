"""Augmentation: deterministic, independent of the global random state, in range, and correct."""

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")

from torch import Tensor  # noqa: E402, TID253  # skipped above where there is no torch

from nas.core.errors import BadValue  # noqa: E402
from nas.training.augment import Augment  # noqa: E402
from nas.training.randaugment import OPERATIONS, operate, randaugment  # noqa: E402

pytestmark = pytest.mark.torch

SIDE = 16
EVERYTHING = Augment(flip=True, crop=0.3, randaugment=(2, 9), erasing=0.5, mixup=0.4)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(count: int = 24) -> Tensor:
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=_generator(9)).to(torch.uint8)


def _apply(augment: Augment, images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = torch.arange(len(images)) % 3
    return augment.apply(images, labels, classes=3, generator=_generator(seed))


def _operate(name: str, images: Tensor, strengths: Tensor) -> Tensor:
    return operate(images, torch.full((len(images),), OPERATIONS.index(name)), strengths)


def test_nothing_is_the_default() -> None:
    images, labels = _apply(Augment(), _images())
    assert torch.equal(images, _images().float() / 255)
    assert torch.equal(labels, torch.arange(24) % 3)


def test_the_generator_alone_decides() -> None:
    before = torch.random.get_rng_state()
    torch.manual_seed(1)
    first = _apply(EVERYTHING, _images())
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second, other = _apply(EVERYTHING, _images()), _apply(EVERYTHING, _images(), seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.random.set_rng_state(before)
    for one, two, three in zip(first, second, other, strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)


def test_results_are_float_images_in_range_and_the_input_stays() -> None:
    images = _images()
    varied, labels = _apply(EVERYTHING, images)
    assert torch.equal(images, _images())
    assert (varied.dtype, varied.shape) == (torch.float32, images.shape)
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert (labels.dtype, labels.shape) == (torch.float32, (24, 3))
    assert torch.allclose(labels.sum(1), torch.ones(24))


def test_half_of_the_images_are_flipped_exactly() -> None:
    images = _images(400)
    varied, _ = _apply(Augment(flip=True), images)
    plain = images.float() / 255
    same = (varied == plain).flatten(1).all(1)
    mirrored = (varied == plain.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_parts_of_at_least_the_area_and_flip_only_when_told(flip: bool) -> None:
    ramp = torch.linspace(0, 1, 64).expand(300, 3, 64, 64)
    varied, _ = _apply(Augment(crop=0.25, flip=flip), ramp)
    slopes = varied[:, 0, 32, 40] - varied[:, 0, 32, 24]
    assert (slopes < 0).any() == flip
    width = slopes.abs() / (16 / 63)
    assert width.min() >= (0.25 * 3 / 4) ** 0.5 - 0.02
    assert width.max() <= 1.001
    assert varied[:, :, :, 0].std() > 0.05


@pytest.mark.parametrize("axis", [-1, -2])
def test_crops_lie_within_the_image_and_reach_its_edges(axis: int) -> None:
    side = 64
    ramp = (torch.arange(side) + 0.5) / side  # of coordinates, so that a crop says where it lies
    images = ramp.expand(200, 3, side, side)
    images = images if axis == -1 else images.transpose(-1, -2)
    varied, _ = _apply(Augment(crop=0.25), images)
    line = varied[:, 0, 30] if axis == -1 else varied[:, 0, :, 30]
    steps = line.diff(dim=1)[:, 2:-2]  # half a pixel at the edge is interpolated with itself
    # Beyond the edge the last pixel is repeated, and the ramp would be flat.
    assert torch.allclose(steps, steps.median(dim=1, keepdim=True).values, atol=1e-4)
    assert line[:, 0].min() < 0.01
    assert line[:, -1].max() > 0.99
    assert line.mean(dim=1).std() > 0.05  # not always the middle


def test_a_share_of_the_images_is_erased() -> None:
    plain = torch.full((400, 3, 32, 32), 0.5)
    varied, _ = _apply(Augment(erasing=0.25), plain)
    changed = (varied != plain).any(1).float().mean((1, 2))
    assert 70 < (changed > 0).sum() < 130
    erased = changed[changed > 0]
    assert erased.max() <= 0.4
    assert 0.1 < erased.mean() < 0.24
    one = varied[changed.argmax()]
    assert len(torch.unique(one.flatten(1), dim=1)[0]) == 2  # one colour in place of the old


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    images = torch.zeros(6, 3, SIDE, SIDE)
    images[:3] = 1
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    varied, mixed = Augment(mixup=1.0).apply(images, labels, classes=2, generator=_generator(3))
    assert torch.allclose(varied[:, 0, 0, 0], mixed[:, 0], atol=1e-6)
    assert torch.allclose(mixed.sum(1), torch.ones(6))
    assert 0 < mixed[0, 0] < 1


def test_shares_of_mixup_follow_beta() -> None:
    images, labels = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    shares = torch.stack(
        [
            Augment(mixup=0.2).apply(images, labels, classes=2, generator=_generator(seed))[1][0, 0]
            for seed in range(400)
        ]
    )
    assert shares.mean() == pytest.approx(0.5, abs=0.08)
    assert shares.var() == pytest.approx(1 / (4 * 1.4), abs=0.03)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_operations_keep_shape_and_range_and_warn_of_nothing(name: str, layout: Any) -> None:
    images = (_images(5).float() / 255).contiguous(memory_format=layout)
    images[0] = 0.25  # of one colour
    before = images.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for strength in (-1.0, -0.3, 0.0, 1.0):
            changed = _operate(name, images, torch.full((5,), strength))
            assert changed.shape == images.shape
            assert changed.dtype == torch.float32
            assert torch.isfinite(changed).all()
            assert changed.min() >= -1e-4
            assert changed.max() <= 1 + 1e-4
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast", "equalize"}))
def test_operations_of_no_strength_change_little(name: str) -> None:
    images = _images(4).float() / 255
    changed = _operate(name, images, torch.zeros(4))
    assert torch.allclose(changed, images, atol=1 / 255 + 1e-3)


def test_operations_are_what_their_names_say() -> None:
    image = torch.full((1, 3, 9, 9), 0.2)
    image[:, 0, 4, 6] = 0.8
    one = torch.ones(1)
    assert _operate("brightness", image, -one / 0.9).max() == pytest.approx(0, abs=1e-6)
    assert _operate("autocontrast", image, one)[0, 0].aminmax() == (0, 1)
    shifted = _operate("translate_x", image, one / 9 / 0.45)
    assert shifted[0, 0, 4, 7] == pytest.approx(0.8, abs=1e-4)
    assert shifted[0, 0, 4, 0] == pytest.approx(0.5, abs=1e-4)  # grey comes in
    turned = _operate("rotate", image, one * 3)  # 90 degrees
    assert turned[0, 0, [2, 6], 4].max() == pytest.approx(0.8, abs=1e-3)
    grey = _operate("colour", image, -one / 0.9)[0, :, 4, 6]
    assert grey.std() == pytest.approx(0, abs=1e-5)
    assert _operate("solarize", image, one)[0, 1, 0, 0] == pytest.approx(0.8)
    levels = _operate("posterize", torch.rand(1, 3, 40, 40, generator=_generator()), one)
    assert len(levels.unique()) == 16


def test_every_image_gets_operations_of_its_own() -> None:
    image = torch.rand(1, 3, SIDE, SIDE, generator=_generator(5)).expand(200, -1, -1, -1)
    varied = randaugment(image, number=1, strength=0.8, generator=_generator())
    assert len({one.numpy().tobytes() for one in varied}) >= len(OPERATIONS)
    assert (varied == image).flatten(1).all(1).sum() < 40  # identity is one in fourteen


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop": 0.0}, "crop must be an area above 0 and up to 1, not 0.0"),
        ({"crop": 1.5}, "crop must be"),
        ({"erasing": 1.5}, "erasing must be a probability, not 1.5"),
        ({"mixup": -1.0}, "mixup must be 0 or more"),
        ({"mixup": float("nan")}, "mixup must be 0 or more"),
        ({"randaugment": (0, 9)}, r"operations from 1, magnitude 0 to 10\), not \(0, 9\)"),
        ({"randaugment": (2, 11)}, "randaugment must be"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        Augment(**values)
