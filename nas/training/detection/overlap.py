"""How much boxes overlap; boxes are corners: left, top, right and bottom, in pixels."""

from math import pi

import torch
from torch import Tensor

_TINY = 1e-7


def areas(corners: Tensor) -> Tensor:
    """Return the areas of boxes (..., 4), of shape (...)."""
    return (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(-1)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union of boxes (..., n, 4) and (..., m, 4), of shape (..., n, m)."""
    left, top, right, bottom = (side[..., :, None] for side in first.unbind(-1))
    others = [side[..., None, :] for side in second.unbind(-1)]
    width = torch.minimum(right, others[2]).sub_(torch.maximum(left, others[0])).clamp_(min=0)
    height = torch.minimum(bottom, others[3]).sub_(torch.maximum(top, others[1])).clamp_(min=0)
    shared = width.mul_(height)
    union = (areas(first)[..., :, None] + areas(second)[..., None, :]).sub_(shared)
    return shared / union.clamp_(min=_TINY)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union of boxes (..., 4), each with its own; of shape (...)."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (areas(first) + areas(second) - shared).clamp(min=_TINY)


def ciou(first: Tensor, second: Tensor) -> Tensor:
    """Return the complete IoU of boxes (..., 4), each with its own (Zheng et al., 2020).

    From the IoU it takes the squared distance of the centres, over that of the farthest corners,
    and what differs in the ratio of the sides. It is at most 1, and has a gradient where the boxes
    do not touch.
    """
    overlap = iou(first, second)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    diagonal = (high - low).square().sum(-1) + _TINY
    between = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = between.square().sum(-1) / diagonal
    differs = (_angle(first) - _angle(second)).square() * (4 / pi**2)
    with torch.no_grad():
        weight = differs / (1 - overlap + differs + _TINY)
    return overlap - distance - weight * differs


def _angle(corners: Tensor) -> Tensor:
    """Return the angle of the diagonal of each box to its vertical side."""
    width, height = (corners[..., 2:] - corners[..., :2]).unbind(-1)
    return torch.atan(width / height.clamp(min=_TINY))
