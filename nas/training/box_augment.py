"""Augment training images with boxes in batches: flips, mosaics, scales, IoU crops, colours.

As in `augment`, everything random is drawn from the generator given, on the CPU, and what is to be
done is data that needs no torch; `box_ops` and `image_ops` do it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.core.errors import BadValue

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from nas.training.boxes import Boxes

MAX_ZOOM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxAugment:
    """How training images with boxes are varied; the default leaves them as they are.

    In this order:
    - `mosaic`: the probability that an image becomes a mosaic of four, itself and three others of
      the batch, around a random point (Bochkovskiy et al., 2020);
    - `zoom`: the least and the most by which an image is scaled about a random point; below 1 it is
      placed on grey ("expanded"), above 1 a part of it is shown;
    - `iou_crop`: the probability of a random part that some box overlaps by at least a drawn share,
      from 0 to 0.9 (Liu et al., 2016), resized to the full image;
    - `flip`: mirrors every second image: not for digits, or whatever has a left and a right;
    - `colour`: the strength, 0 to 1, of random brightness, contrast, saturation and hue.

    A box that is cut keeps its visible part, unless less than `visible` of its area is left.
    """

    mosaic: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    iou_crop: float = 0.0
    flip: bool = False
    colour: float = 0.0
    visible: float = 0.25

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("mosaic", "iou_crop"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadValue(f"{name} must be a probability, not {value}", name)
        for name in ("colour", "visible"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadValue(f"{name} must be from 0 to 1, not {value}", name)
        least, most = self.zoom
        if not 1 / MAX_ZOOM <= least <= most <= MAX_ZOOM:
            raise BadValue(
                f"zoom must be (least, most scale) from {1 / MAX_ZOOM:g} to {MAX_ZOOM:g}, "
                f"not {self.zoom}",
                "zoom",
            )

    def apply(
        self, images: "Tensor", boxes: "Boxes", *, generator: "Generator"
    ) -> "tuple[Tensor, Boxes]":
        """Return varied images and the boxes in them.

        `images` has shape (batch, 3, side, side), uint8 or float from 0 to 1; those returned are
        float32 from 0 to 1, not normalised. `generator` lives on the CPU.
        """
        from nas.training import box_ops as ops  # torch takes seconds; a recipe is data
        from nas.training.image_ops import colours

        images = images if images.is_floating_point() else images.float().div_(255)
        if self.mosaic > 0:
            images, boxes = ops.mosaic(
                images, boxes, self.mosaic, visible=self.visible, generator=generator
            )
        if self.zoom != (1.0, 1.0):
            images, boxes = ops.zoom(
                images, boxes, self.zoom, visible=self.visible, generator=generator
            )
        if self.iou_crop > 0:
            images, boxes = ops.iou_crop(
                images, boxes, self.iou_crop, visible=self.visible, generator=generator
            )
        if self.flip:
            images, boxes = ops.mirror(images, boxes, generator)
        if self.colour > 0:
            images = colours(images, self.colour, generator)
        return images, boxes
