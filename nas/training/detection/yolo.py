"""The loss of an anchor-free YOLO: task-aligned assignment, CIoU, distributions of the sides."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor

from nas.network.detector import Detector
from nas.training.boxes import Boxes, Outputs
from nas.training.detection.coding import PriorTensors, by_side, decode, encode_yolo
from nas.training.detection.overlap import ciou, iou

BOX_GAIN, CLASS_GAIN, BINS_GAIN = 7.5, 0.5, 1.5
CLASS_POWER, BOX_POWER, MOST = 0.5, 6.0, 10
"""Alpha, beta, and the predictions for each object, of task-aligned assignment."""
_TINY = 1e-30


class Assigned(NamedTuple):
    """What each prediction is to find.

    `objects` (batch, predictions) are the objects, -1 for the background; `weights`, of the same
    shape, are the class scores to learn, from 0 to 1.
    """

    objects: Tensor
    weights: Tensor


@torch.no_grad()
def assign(shares: Tensor, boxes: Tensor, targets: Boxes, priors: PriorTensors) -> Assigned:
    """Return task-aligned assignments (Feng et al., 2021).

    `shares` (batch, predictions, classes) and `boxes` (batch, predictions, 4) are what is predicted
    now. An object gets the ten predictions inside it of the highest score^0.5 * IoU^6; of several
    objects, a prediction gets the one with the highest IoU. What it is to score follows that
    product, and is the highest IoU of its object for the best.
    """
    batch, count = shares.shape[:2]
    image, number, place = is_inside(targets, priors).nonzero(as_tuple=True)
    overlap = iou(targets.corners[image, number], boxes[image, place])
    aligned = shares[image, place, targets.labels[image, number]].pow(CLASS_POWER)
    aligned = aligned * overlap.pow(BOX_POWER)
    owner, slot = image * targets.labels.shape[1] + number, image * count + place
    near = ranks(aligned, owner) < MOST
    owner, slot, number, aligned, overlap = (
        x[near] for x in (owner, slot, number, aligned, overlap)
    )
    first = ranks(overlap, slot) == 0
    owner, slot, number, aligned, overlap = (
        x[first] for x in (owner, slot, number, aligned, overlap)
    )
    empty = torch.zeros(targets.labels.numel(), device=shares.device)
    highest, most = (empty.scatter_reduce(0, owner, x, "amax")[owner] for x in (aligned, overlap))
    weights = torch.zeros(batch * count, device=shares.device)
    weights[slot] = (aligned / highest.clamp(min=_TINY) * most).clamp(max=1)
    objects = torch.full((batch * count,), -1, device=shares.device)
    objects[slot] = number
    return Assigned(objects.view(batch, count), weights.view(batch, count))


def ranks(values: Tensor, groups: Tensor) -> Tensor:
    """Return the place of each of `values` among those of its group, from 0 for the highest.

    Both have shape (n,); of equal values the first is higher.
    """
    order = values.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    places = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).scatter_(0, order, places - torch.searchsorted(ordered, ordered))


def is_inside(targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return which points lie in which objects, (batch, objects, predictions).

    Objects below the smallest stride count as that large, so that a point lies in them, too.
    """
    corners = targets.corners
    middle = (corners[..., :2] + corners[..., 2:]) / 2
    half = ((corners[..., 2:] - corners[..., :2]) / 2).clamp(min=float(priors.strides.min()) / 2)
    inside = (targets.labels >= 0)[..., None]
    for axis in range(2):
        away = (priors.centres[:, axis] - middle[..., axis, None]).abs()
        inside = inside & (away <= half[..., axis, None])
    return inside


def loss(detector: Detector, outputs: Outputs, targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return the loss: classes, boxes and distributions, over the sum of the scores to learn."""
    numbers, scores = outputs.boxes.float(), outputs.scores.float()
    boxes = decode(detector.coder, numbers, priors)
    objects, weights = assign(scores.detach().sigmoid(), boxes.detach(), targets, priors)
    total = weights.sum().clamp(min=1)
    places = (objects >= 0).nonzero(as_tuple=True)
    which = (places[0], objects[places])
    wanted = torch.zeros_like(scores)
    wanted[(*places, targets.labels[which])] = weights[places]
    classes = F.binary_cross_entropy_with_logits(scores, wanted, reduction="sum")
    corners = targets.corners[which]
    apart = (1 - ciou(boxes[places], corners)) * weights[places]
    here = PriorTensors(*(values[places[1]] for values in priors))
    bins = distribution(numbers[places], encode_yolo(corners, here)) * weights[places]
    return (CLASS_GAIN * classes + BOX_GAIN * apart.sum() + BINS_GAIN * bins.sum()) / total


def distribution(numbers: Tensor, wanted: Tensor) -> Tensor:
    """Return the distribution focal loss (Li et al., 2020), the mean of the four sides.

    `numbers` (n, 4 * bins) give the distributions; `wanted` (n, 4) are distances in bins. The two
    whole numbers around a distance are learned, each by how near it is.
    """
    logits = by_side(numbers)
    last = logits.shape[-1] - 1
    wanted = wanted.clamp(0, last - 0.01)
    below = wanted.floor()
    share = wanted - below
    log_shares = logits.log_softmax(-1)
    index = below.long()[..., None]
    low, high = log_shares.gather(-1, index)[..., 0], log_shares.gather(-1, index + 1)[..., 0]
    return ((share - 1) * low - share * high).mean(-1)
