"""The operations of augmentation with boxes: parts of images, mosaics and flips.

Everything random is drawn from the generator given, one value for each image, on the CPU; `boxes`
follow their images. A window is the part of an image that is shown: left, top, right and bottom
as fractions of the image, of shape (batch, 4); it may reach beyond.
"""

from math import log

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Generator, Tensor

from nas.training.boxes import Boxes
from nas.training.image_ops import uniform, window_grid

GREY = 0.5
"""What lies outside of an image."""
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
CROP_SIDES = (0.3, 1.0)
CROP_ASPECT = 2.0
CROP_TRIALS = 40
"""IoU crops (Liu et al., 2016): least overlaps, sides, their ratio, and how many are tried."""
CENTRE = (0.35, 0.65)
"""Where the four images of a mosaic meet, as a fraction of the side."""
MIN_SIDE = 1.0
"""Pixels of a box that is cut, below which nothing is left of it."""


def mirror(images: Tensor, boxes: Boxes, generator: Generator) -> tuple[Tensor, Boxes]:
    """Mirror half of the images."""
    flips = uniform(len(images), 0, 1, generator=generator, device=images.device) < 0.5
    left, top, right, bottom = boxes.corners.unbind(-1)
    side = images.shape[-1]
    turned = torch.stack([side - right, top, side - left, bottom], dim=-1)
    corners = torch.where(flips[:, None, None], turned, boxes.corners)
    images = torch.where(flips[:, None, None, None], images.flip(-1), images)
    return images, _without_padding(corners, boxes.labels)


def zoom(
    images: Tensor,
    boxes: Boxes,
    scales: tuple[float, float],
    *,
    visible: float,
    generator: Generator,
) -> tuple[Tensor, Boxes]:
    """Scale every image by a factor between two, uniform in its logarithm, about a random point."""
    drawn, x, y = torch.rand(3, len(images), generator=generator)
    least, most = map(log, scales)
    shown = torch.exp(-(least + (most - least) * drawn))
    left, top = x * (1 - shown), y * (1 - shown)
    windows = torch.stack([left, top, left + shown, top + shown], dim=-1)
    return crop_to_windows(images, boxes, windows, visible=visible)


def iou_crop(
    images: Tensor, boxes: Boxes, probability: float, *, visible: float, generator: Generator
) -> tuple[Tensor, Boxes]:
    """Show a part of some images that a box overlaps enough, the whole where none is found."""
    count = len(images)
    chosen, share = torch.rand(2, count, generator=generator)
    wanted = torch.tensor(SHARES)[(share * len(SHARES)).long().clamp(max=len(SHARES) - 1)]
    wanted = torch.where(chosen < probability, wanted, torch.inf).to(images.device)
    tried = _random_windows((count, CROP_TRIALS), generator).to(images.device)
    corners = boxes.corners / images.shape[-1]
    fits = _overlaps(tried, corners) >= wanted[:, None, None]
    fits &= _holds_centre(tried, corners) & (boxes.labels >= 0)[:, None]
    good = fits.any(-1) & _fair(tried)
    first = good.int().argmax(1)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=images.device)
    windows = torch.where(good.any(1)[:, None], tried[torch.arange(count), first], whole)
    return crop_to_windows(images, boxes, windows, visible=visible)


def _random_windows(shape: tuple[int, int], generator: Generator) -> Tensor:
    width, height, x, y = torch.rand(4, *shape, generator=generator)
    least, most = CROP_SIDES
    width, height = least + (most - least) * width, least + (most - least) * height
    left, top = x * (1 - width), y * (1 - height)
    return torch.stack([left, top, left + width, top + height], dim=-1)


def _fair(windows: Tensor) -> Tensor:
    """Tell which windows are not too long."""
    width, height = (windows[..., 2:] - windows[..., :2]).unbind(-1)
    return torch.maximum(width / height, height / width) <= CROP_ASPECT


def _overlaps(windows: Tensor, corners: Tensor) -> Tensor:
    """Return the IoU of every window with every box of its image: (batch, windows, boxes)."""
    one, two = windows[:, :, None], corners[:, None]
    shared = _area(
        torch.cat(
            [
                torch.maximum(one[..., :2], two[..., :2]),
                torch.minimum(one[..., 2:], two[..., 2:]),
            ],
            dim=-1,
        )
    )
    return shared / (_area(one) + _area(two) - shared).clamp(min=1e-9)


def _holds_centre(windows: Tensor, corners: Tensor) -> Tensor:
    centre = ((corners[..., :2] + corners[..., 2:]) / 2)[:, None]
    inside = (centre > windows[:, :, None, :2]) & (centre < windows[:, :, None, 2:])
    return inside.all(-1)


def _area(corners: Tensor) -> Tensor:
    return (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(-1)


def mosaic(
    images: Tensor, boxes: Boxes, probability: float, *, visible: float, generator: Generator
) -> tuple[Tensor, Boxes]:
    """Put some images and three others of the batch together, around a random point."""
    count, side = len(images), images.shape[-1]
    chosen = torch.rand(count, generator=generator) < probability
    others = torch.randint(count, (3, count), generator=generator)
    x, y, size = torch.rand(3, count, generator=generator)
    rows = chosen.nonzero()[:, 0]
    if not len(rows):
        return images, boxes
    sources = torch.cat([torch.arange(count)[None], others])[:, rows]
    centre = CENTRE[0] + (CENTRE[1] - CENTRE[0]) * torch.stack([x, y], dim=-1)[rows]
    centre = (centre * side).round() / side
    least = torch.maximum(centre, 1 - centre).amax(-1)  # so that no part stays empty
    scale = (least + (1 - least) * size[rows])[:, None]
    made, found = images.clone(), []
    for number, source in enumerate(sources):
        tile = _tile(centre, number)
        start = torch.where(tile[:, :2] > 0, centre, centre - scale)
        windows = torch.cat([-start, 1 - start], dim=-1) / scale
        own = Boxes(boxes.corners[source], boxes.labels[source])
        found.append(_moved(own, windows, side, visible=visible, within=tile * side))
        parts = (tile - start.repeat(1, 2)) / scale
        for row, at, part, place in zip(rows, source, parts, (tile * side).round(), strict=True):
            left, top, right, bottom = map(int, place.tolist())
            shape = (bottom - top, right - left)
            made[row, :, top:bottom, left:right] = _sampled(images[at][None], part[None], shape)[0]
    return made, _with(boxes, rows, found)


def _tile(centre: Tensor, number: int) -> Tensor:
    """Return the window of one of the four parts of a mosaic: upper left, right, lower left."""
    x, y = centre.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    left, right = (x, one) if number % 2 else (zero, x)
    top, bottom = (y, one) if number // 2 else (zero, y)
    return torch.stack([left, top, right, bottom], dim=-1)


def _with(boxes: Boxes, rows: Tensor, parts: list[Boxes]) -> Boxes:
    """Return the boxes of a batch, at `rows` those of the parts of a mosaic."""
    more = (len(parts) - 1) * boxes.labels.shape[1]
    corners = F.pad(boxes.corners, (0, 0, 0, more))
    labels = F.pad(boxes.labels, (0, more), value=-1)
    corners[rows] = torch.cat([part.corners for part in parts], dim=1)
    labels[rows] = torch.cat([part.labels for part in parts], dim=1)
    return _packed(corners, labels)


def crop_to_windows(
    images: Tensor, boxes: Boxes, windows: Tensor, *, visible: float
) -> tuple[Tensor, Boxes]:
    """Resize a window of every image to the full side, and drop or cut the boxes that leave it.

    What lies outside of an image is grey. A box needs a share `visible` of its area inside, and
    `MIN_SIDE` pixels.
    """
    height, side = images.shape[-2:]
    shown = _sampled(images, windows, (height, side))
    return shown, _moved(boxes, windows, side, visible=visible)


def _sampled(images: Tensor, windows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a window of every image, resized to a height and width."""
    windows = windows.to(images.device, images.dtype, non_blocking=True)
    low, high = windows[:, :2], windows[:, 2:]
    grid = window_grid(high - low, low + high - 1, *shape)
    return F.grid_sample(images - GREY, grid, align_corners=False).add_(GREY)


def _moved(
    boxes: Boxes, windows: Tensor, side: int, *, visible: float, within: Tensor | None = None
) -> Boxes:
    """Return the boxes where windows have the full side, cut to the corners `within`, in pixels."""
    windows = windows.to(boxes.corners, non_blocking=True)
    start, size = windows[:, :2], windows[:, 2:] - windows[:, :2]
    corners = (boxes.corners - start.repeat(1, 2)[:, None] * side) / size.repeat(1, 2)[:, None]
    limits = torch.tensor([[0.0, 0.0, side, side]]) if within is None else within
    return _cut(corners, boxes.labels, limits.to(corners, non_blocking=True), visible=visible)


def _cut(corners: Tensor, labels: Tensor, limits: Tensor, *, visible: float) -> Boxes:
    """Return the boxes within `limits`, without those of which too little is left."""
    low, high = limits[:, None, :2], limits[:, None, 2:]
    points = corners.reshape(*labels.shape, 2, 2)
    inside = torch.minimum(torch.maximum(points, low[:, :, None]), high[:, :, None]).flatten(-2)
    enough = _area(inside) >= visible * _area(corners)
    enough &= ((inside[..., 2:] - inside[..., :2]) >= MIN_SIDE).all(-1)
    return _without_padding(inside, torch.where(enough, labels, -1))


def _without_padding(corners: Tensor, labels: Tensor) -> Boxes:
    """Return the boxes with corners of 0 where there is no object."""
    return Boxes(torch.where((labels >= 0)[..., None], corners, 0.0), labels)


def _packed(corners: Tensor, labels: Tensor) -> Boxes:
    """Return the boxes with objects first, filled up to the most in one image, but one at least."""
    there = labels >= 0
    order = torch.argsort(~there, dim=1, stable=True)
    most = max(int(there.sum(1).max()), 1)
    order = order[:, :most]
    return Boxes(corners.gather(1, order[..., None].expand(-1, -1, 4)), labels.gather(1, order))
