"""RandAugment on batches, with kornia's operations: every image gets operations of its own."""

from collections.abc import Callable, Mapping

import kornia.enhance as enhance
import torch
import torch.nn.functional as F  # the name every torch program uses
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Generator, Tensor

Change = Callable[[Tensor, Tensor], Tensor]
"""Takes images and a number from -1 to 1 for each: sign and strength; keeps shape and range."""

GREY = 0.5
"""Fills what a turned or moved image leaves free."""
MAX_FACTOR = 0.9
MOVES: Mapping[str, float] = {
    "rotate": 30.0,  # degrees
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": 0.45,  # sides of the image
    "translate_y": 0.45,
}
"""What is reached at full strength, as in the EfficientNet code of its authors."""
BITS, MIN_BITS = 8, 4


def _keep(images: Tensor, _: Tensor) -> Tensor:
    return images


def _stretch(images: Tensor, _: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    return enhance.equalize(images.contiguous())


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    most = (1 - strength.abs())[:, None, None, None]
    return torch.where(images <= most, images, 1 - images)  # kornia inverts white at no strength


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    return enhance.posterize(images, (BITS - (BITS - MIN_BITS) * strength.abs()).round().int())


def _colour(images: Tensor, strength: Tensor) -> Tensor:
    return enhance.adjust_saturation_with_gray_subtraction(images, 1 + MAX_FACTOR * strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    return enhance.adjust_contrast_with_mean_subtraction(images, 1 + MAX_FACTOR * strength)


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return (images * (1 + MAX_FACTOR * strength)[:, None, None, None]).clamp(0, 1)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    return enhance.sharpness(images, 1 + MAX_FACTOR * strength)


COLOURS: Mapping[str, Change] = {
    "identity": _keep,
    "autocontrast": _stretch,
    "equalize": _equalize,
    "solarize": _solarize,
    "colour": _colour,
    "posterize": _posterize,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
}
OPERATIONS = (*COLOURS, *MOVES)
"""The 14 of Cubuk et al. (2019)."""


def randaugment(images: Tensor, *, number: int, strength: float, generator: Generator) -> Tensor:
    """Apply `number` operations to every image, each drawn for itself, at `strength` 0 to 1.

    `images` are float of shape (batch, 3, side, side), from 0 to 1, as is the result; signs are
    drawn too. `generator` lives on the CPU.
    """
    for _ in range(number):
        which = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        images = operate(images, which, signs * strength)
    return images.clamp(0, 1)


def operate(images: Tensor, which: Tensor, strengths: Tensor) -> Tensor:
    """Apply to every image one operation: `which` are places in `OPERATIONS`.

    `which` and `strengths`, from -1 to 1, have one value for each image and lie on the CPU.
    """
    result = images.clone()
    for index, change in enumerate(COLOURS.values()):
        rows = torch.nonzero(which == index)[:, 0]
        if len(rows) > 0 and change is not _keep:
            own = strengths[rows].to(images.device, images.dtype)
            rows = rows.to(images.device)
            result[rows] = change(images[rows], own)
    rows = torch.nonzero(which >= len(COLOURS))[:, 0]
    if len(rows) > 0:  # one call moves them all, as each is expensive
        kinds = F.one_hot(which[rows] - len(COLOURS), len(MOVES))
        amounts = kinds * strengths[rows, None] * torch.tensor(tuple(MOVES.values()))
        rows = rows.to(images.device)
        result[rows] = _move(images[rows], amounts.to(images.device, images.dtype))
    return result


def _move(images: Tensor, amounts: Tensor) -> Tensor:
    """Move pixels about the centre by `amounts`, of shape (batch, 5) in the order of `MOVES`."""
    count, side = len(images), images.shape[-1]
    degrees, shear_x, shear_y = amounts[:, :3].unbind(1)
    centre = images.new_full((count, 2), (side - 1) / 2)
    matrix = get_affine_matrix2d(
        amounts[:, 3:] * side, centre, images.new_ones(count, 2), degrees, shear_x, shear_y
    )
    fill = images.new_full((3,), GREY)
    return warp_affine(images, matrix[:, :2], (side, side), padding_mode="fill", fill_value=fill)
