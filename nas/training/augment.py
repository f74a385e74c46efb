"""Augment training images in batches: crops, flips, RandAugment, erasing, mixup.

Everything random is drawn from the generator given, one value for each image, on the CPU: the same
generator gives the same images on every device and in every thread. So kornia's operations are
used, but not its classes, which draw from torch's global generator. What is to be done is data, and
needs no torch; `image_ops` does it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.core.errors import BadValue

if TYPE_CHECKING:
    from torch import Generator, Tensor

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
        """Refuse values out of range."""
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

    def apply(
        self, images: "Tensor", labels: "Tensor", *, classes: int, generator: "Generator"
    ) -> "tuple[Tensor, Tensor]":
        """Return varied images and their labels.

        `images` has shape (batch, 3, side, side), uint8 or float from 0 to 1; those returned are
        float32 from 0 to 1, not normalised. `labels` are int64 of shape (batch,); with mixup they
        become float32 of shape (batch, classes) that sum to 1. `generator` lives on the CPU.
        """
        from nas.training import image_ops as ops  # torch takes seconds; a recipe is data

        images = images if images.is_floating_point() else images.float().div_(255)
        if self.crop < 1:
            images = ops.crop(images, self.crop, flip=self.flip, generator=generator)
        elif self.flip:
            images = ops.mirror(images, generator)
        if self.randaugment is not None:
            from nas.training.randaugment import randaugment  # importing kornia takes seconds

            number, magnitude = self.randaugment
            strength = magnitude / MAGNITUDES
            images = randaugment(images, number=number, strength=strength, generator=generator)
        if self.erasing > 0:
            images = ops.erase(images, self.erasing, generator)
        if self.mixup > 0:
            return ops.mix(images, labels, self.mixup, classes=classes, generator=generator)
        return images, labels
