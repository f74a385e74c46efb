"""Augment training images in batches: crops, flips, RandAugment, erasing, mixup.

Everything random is drawn from the generator given, one value for each image, on the CPU: the same
generator gives the same images on every device and in every thread. So kornia's operations are
used, but not its classes, which draw from torch's global generator.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Generator, Tensor

from nas.core.errors import BadValue, MissingPackage

ASPECT = 4 / 3
"""Crops are at most so much wider than high, or higher than wide."""
ERASED = (0.02, 1 / 3)
ERASED_ASPECT = 10 / 3
"""Area of an erased rectangle, and its sides' ratio (Zhong et al., 2017)."""
MAGNITUDES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """How training images are varied; the default leaves them as they are.

    `flip` mirrors every second image: not for digits, or whatever has a left and a right. `crop`
    is the least area of a random crop, resized to the full side, 1 for none. `randaugment` is
    (operations per image, magnitude 0 to 10; Cubuk et al., 2019); `erasing` the probability of a
    rectangle of one random colour (Zhong et al., 2017); `mixup` the alpha of Beta(alpha, alpha),
    by whose draw two images and their labels are mixed, 0 for none (Zhang et al., 2017).
    """

    flip: bool = False
    crop: float = 1.0
    randaugment: tuple[int, int] | None = None
    erasing: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range, and RandAugment where kornia is not installed."""
        if not 0 < self.crop <= 1:
            raise BadValue(f"crop must be an area above 0 and up to 1, not {self.crop}", "crop")
        if not 0 <= self.erasing <= 1:
            raise BadValue(f"erasing must be a probability, not {self.erasing}", "erasing")
        if not 0 <= self.mixup < float("inf"):
            raise BadValue(f"mixup must be 0 or more, not {self.mixup}", "mixup")
        if self.randaugment is None:
            return
        number, magnitude = self.randaugment
        if number < 1 or not 0 <= magnitude <= MAGNITUDES:
            raise BadValue(
                f"randaugment must be (operations from 1, magnitude 0 to {MAGNITUDES}), "
                f"not {self.randaugment}",
                "randaugment",
            )
        if find_spec("kornia") is None:
            raise MissingPackage("RandAugment needs kornia; install it: pip install kornia")

    def apply(
        self, images: Tensor, labels: Tensor, *, classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Return varied images and their labels.

        `images` has shape (batch, 3, side, side), uint8 or float from 0 to 1; those returned are
        float32 from 0 to 1, not normalised. `labels` are int64 of shape (batch,); with mixup they
        become float32 of shape (batch, classes) that sum to 1. `generator` lives on the CPU.
        """
        images = images.float() / 255 if images.dtype == torch.uint8 else images
        if self.crop < 1:
            images = _crop(images, self.crop, flip=self.flip, generator=generator)
        elif self.flip:
            images = _flip(images, generator)
        if self.randaugment is not None:
            from nas.training.randaugment import randaugment  # importing kornia takes seconds

            number, magnitude = self.randaugment
            strength = magnitude / MAGNITUDES
            images = randaugment(images, number=number, strength=strength, generator=generator)
        if self.erasing > 0:
            images = _erase(images, self.erasing, generator)
        if self.mixup > 0:
            return _mix(images, labels, self.mixup, classes=classes, generator=generator)
        return images, labels


def uniform(
    count: int, low: float, high: float, *, generator: Generator, device: torch.device
) -> Tensor:
    """Return `count` numbers from `low` to `high`, drawn on the CPU and moved to `device`."""
    drawn = torch.rand(count, generator=generator) * (high - low) + low
    return drawn.to(device, non_blocking=True)


def _flip(images: Tensor, generator: Generator) -> Tensor:
    flips = uniform(len(images), 0, 1, generator=generator, device=images.device) < 0.5
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def _crop(images: Tensor, least: float, *, flip: bool, generator: Generator) -> Tensor:
    """Resize a random part of every image to the full side, and mirror half of them."""
    count = len(images)
    area, ratio, x, y, side = torch.rand(5, count, generator=generator)
    area = least + (1 - least) * area
    ratio = torch.exp((2 * ratio - 1) * np.log(ASPECT))
    width = (area * ratio).sqrt().clamp(max=1)
    height = (area / ratio).sqrt().clamp(max=1)
    # In the coordinates of affine_grid the image reaches from -1 to 1.
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(side < 0.5, -width, width) if flip else width
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (2 * x - 1) * (1 - width)
    theta[:, 1, 2] = (2 * y - 1) * (1 - height)
    theta = theta.to(images.device, images.dtype, non_blocking=True)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _erase(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Fill a rectangle with one colour, in some images."""
    count, side = len(images), images.shape[-1]
    chosen, area, ratio, x, y = torch.rand(5, count, generator=generator)
    colours = torch.rand(count, 3, 1, 1, generator=generator)
    area = ERASED[0] + (ERASED[1] - ERASED[0]) * area
    ratio = torch.exp((2 * ratio - 1) * np.log(ERASED_ASPECT))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    at = (torch.arange(side) + 0.5) / side
    left, top = (x * (1 - width))[:, None], (y * (1 - height))[:, None]
    across = (at >= left) & (at < left + width[:, None])
    down = (at >= top) & (at < top + height[:, None])
    inside = across[:, None, None, :] & down[:, None, :, None]
    inside &= (chosen < probability)[:, None, None, None]
    return torch.where(
        inside.to(images.device, non_blocking=True),
        colours.to(images.device, images.dtype, non_blocking=True),
        images,
    )


def _mix(
    images: Tensor, labels: Tensor, alpha: float, *, classes: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Mix every image with its opposite in the batch, by one share for all."""
    drawn = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(drawn).beta(alpha, alpha))  # torch's takes no generator
    certain = F.one_hot(labels, classes).float()
    return (
        torch.lerp(images.flip(0), images, share),
        torch.lerp(certain.flip(0), certain, share),
    )
