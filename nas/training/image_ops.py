"""The operations of augmentation: crops, flips, colours, erasing and mixup of whole batches.

Everything random is drawn from the generator given, one value for each image, on the CPU.
"""

from math import pi

import numpy as np
import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Generator, Tensor

ASPECT = 4 / 3
"""Crops are at most so much wider than high, or higher than wide."""
ERASED = (0.02, 1 / 3)
ERASED_ASPECT = 10 / 3
"""Area of an erased rectangle, and its sides' ratio (Zhong et al., 2017)."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness (ITU-R BT.601)."""
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.3, 0.5, 0.5, 0.05 * 2 * pi
"""Most change of each at full strength: shares, and radians of hue."""


def uniform(
    count: int, low: float, high: float, *, generator: Generator, device: torch.device
) -> Tensor:
    """Return `count` numbers from `low` to `high`, drawn on the CPU and moved to `device`."""
    drawn = torch.rand(count, generator=generator) * (high - low) + low
    return drawn.to(device, non_blocking=True)


def mirror(images: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the images."""
    flips = uniform(len(images), 0, 1, generator=generator, device=images.device) < 0.5
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor, least: float, *, flip: bool, generator: Generator) -> Tensor:
    """Resize a random part of every image to the full side, and mirror half of them."""
    count = len(images)
    area, ratio, x, y, side = torch.rand(5, count, generator=generator)
    area = least + (1 - least) * area
    ratio = torch.exp((2 * ratio - 1) * np.log(ASPECT))
    width = (area * ratio).sqrt().clamp(max=1)
    height = (area / ratio).sqrt().clamp(max=1)
    # In the coordinates of grid_sample the image reaches from -1 to 1.
    spans = torch.stack([torch.where(side < 0.5, -width, width) if flip else width, height], dim=-1)
    middles = torch.stack([(2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height)], dim=-1)
    spans, middles = (
        part.to(images.device, images.dtype, non_blocking=True) for part in (spans, middles)
    )
    grid = window_grid(spans, middles, images.shape[2], images.shape[3])
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def window_grid(spans: Tensor, middles: Tensor, height: int, width: int) -> Tensor:
    """Return the grid for `grid_sample` of a window in every image, of shape (batch, h, w, 2).

    `spans` and `middles`, of shape (batch, 2), are those of windows in x and y: half their sides,
    negative to mirror, and their centres, where the image reaches from -1 to 1. `affine_grid` gives
    the same by a product of matrices, which takes longer than the sampling.
    """
    x, y = (
        middles[:, axis, None] + spans[:, axis, None] * _centres(count, spans)
        for axis, count in enumerate((width, height))
    )
    shape = (len(spans), height, width)
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)


def _centres(count: int, like: Tensor) -> Tensor:
    """Return the centres of `count` pixels between -1 and 1."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def erase(images: Tensor, probability: float, generator: Generator) -> Tensor:
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


def mix(
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


def colours(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Vary brightness, contrast, saturation and hue of every image.

    All four are linear but for the limits of colours, so each image is multiplied by one matrix;
    the hue is turned about the axis of greys.
    """
    drawn = (torch.rand(4, len(images), 1, 1, generator=generator) * 2 - 1) * strength
    light, contrast, saturation, hue = drawn
    matrix = _turn(HUE * hue) @ _saturate(1 + SATURATION * saturation) * (1 + BRIGHTNESS * light)
    matrix = matrix.to(images.device, images.dtype, non_blocking=True)
    contrast = (1 + CONTRAST * contrast).to(images.device, images.dtype, non_blocking=True)
    middle = (matrix @ images.mean((2, 3))[..., None]).mean(1, keepdim=True)
    flat = torch.baddbmm(middle * (1 - contrast), matrix * contrast, images.flatten(2))
    return flat.clamp_(0, 1).view_as(images)


def _turn(angle: Tensor) -> Tensor:
    """Return matrices that turn colours about the axis of greys; `angle` has shape (n, 1, 1)."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    grey = torch.full((3, 3), 1 / 3)
    return angle.cos() * torch.eye(3) + (1 - angle.cos()) * grey + angle.sin() * cross


def _saturate(factor: Tensor) -> Tensor:
    """Return matrices that move colours to or from the grey of their brightness."""
    return factor * torch.eye(3) + (1 - factor) * torch.tensor(LUMA).expand(3, 3)
