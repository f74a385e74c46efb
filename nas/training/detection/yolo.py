"""The loss of an anchor-free YOLO: task-aligned assignment, CIoU, distributions of the sides."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor

from nas.network.detector import Detector
from nas.training.boxes import Boxes, Outputs
from nas.training.detection.coding import Start, by_side, decode, encode_yolo
from nas.training.detection.overlap import ciou, pairwise_iou

BOX_GAIN, CLASS_GAIN, BINS_GAIN = 7.5, 0.5, 1.5
CLASS_POWER, BOX_POWER, MOST = 0.5, 6.0, 10
"""Alpha, beta, and the predictions for each object, of task-aligned assignment."""
_TINY = 1e-9


class Assigned(NamedTuple):
    """What each prediction is to find.

    `objects` (batch, predictions) are the objects, -1 for the background; `weights`, of the same
    shape, are the class scores to learn, from 0 to 1.
    """

    objects: Tensor
    weights: Tensor


@torch.no_grad()
def assign(shares: Tensor, boxes: Tensor, targets: Boxes, start: Start) -> Assigned:
    """Return task-aligned assignments (Feng et al., 2021).

    `shares` (batch, predictions, classes) and `boxes` (batch, predictions, 4) are what is predicted
    now. An object gets the ten predictions inside it of the highest score^0.5 * IoU^6; of several
    objects, a prediction gets the one with the highest IoU. What it is to score follows that
    product, and is the highest IoU of its object for the best.
    """
    batch, count = shares.shape[:2]
    if not targets.labels.shape[1]:
        return Assigned(
            torch.full((batch, count), -1, device=shares.device),
            torch.zeros((batch, count), device=shares.device),
        )
    inside = is_inside(targets, start)
    overlap = pairwise_iou(targets.corners, boxes).mul_(inside)
    labels = targets.labels.clamp(min=0)[..., None].expand(-1, -1, count)
    aligned = shares.transpose(1, 2).gather(1, labels).pow_(CLASS_POWER)
    aligned = aligned.mul_(overlap.pow(BOX_POWER)).mul_(inside)
    chosen = _best(aligned, inside)
    objects = overlap.masked_fill(~chosen, -1).max(1)
    taken = objects.values >= 0
    owned = F.one_hot(objects.indices, chosen.shape[1]).transpose(1, 2).bool() & taken[:, None]
    aligned, overlap = aligned * owned, overlap * owned
    scale = overlap.amax(2, keepdim=True) / aligned.amax(2, keepdim=True).clamp(min=_TINY**3)
    weights = (aligned * scale).sum(1).clamp(max=1)
    return Assigned(objects.indices.masked_fill(~taken, -1), weights)


def is_inside(targets: Boxes, start: Start) -> Tensor:
    """Return which points lie in which objects, (batch, objects, predictions).

    Objects below the smallest stride count as that large, so that a point lies in them, too.
    """
    corners = targets.corners
    middle = (corners[..., :2] + corners[..., 2:]) / 2
    half = ((corners[..., 2:] - corners[..., :2]) / 2).clamp(min=float(start.strides.min()) / 2)
    away = (start.centres - middle[..., None, :]).abs()
    return (away <= half[..., None, :]).all(-1) & (targets.labels >= 0)[..., None]


def _best(aligned: Tensor, inside: Tensor) -> Tensor:
    """Return which predictions each object gets at first."""
    ranked = aligned.masked_fill(~inside, -1)
    places = ranked.topk(min(MOST, ranked.shape[2]), dim=2).indices
    return (
        torch.zeros_like(inside).scatter_(2, places, torch.ones_like(places, dtype=torch.bool))
        & inside
    )


def loss(detector: Detector, outputs: Outputs, targets: Boxes, start: Start) -> Tensor:
    """Return the loss: classes, boxes and distributions, over the sum of the scores to learn."""
    numbers, scores = outputs.boxes.float(), outputs.scores.float()
    boxes = decode(detector.coder, numbers, start)
    objects, weights = assign(scores.detach().sigmoid(), boxes.detach(), targets, start)
    total = weights.sum().clamp(min=1)
    places = (objects >= 0).nonzero(as_tuple=True)
    which = (places[0], objects[places])
    wanted = torch.zeros_like(scores)
    wanted[(*places, targets.labels[which])] = weights[places]
    classes = F.binary_cross_entropy_with_logits(scores, wanted, reduction="sum")
    corners = targets.corners[which]
    apart = (1 - ciou(boxes[places], corners)) * weights[places]
    here = Start(*(values[places[1]] for values in start))
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
