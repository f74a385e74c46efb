"""The loss of SSD (Liu et al., 2016): matched anchors, hard negatives."""

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor

from nas.network.detector import Detector
from nas.training.boxes import Boxes, Outputs
from nas.training.detection.coding import PriorTensors, encode_ssd
from nas.training.detection.overlap import pairwise_iou

MIN_OVERLAP = 0.5
NEGATIVES = 3
"""Anchors on the background that count, for each matched one: those of the highest loss."""


def match(targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return the object (batch, predictions) that each prior is to find; -1 for the background.

    It is the one with the highest IoU if that is 0.5 or more, and each object has at least the
    prior that fits it best.
    """
    every = zip(targets.corners, targets.labels, strict=True)  # a table of all images is slower
    return torch.stack([_matched(corners, labels >= 0, priors) for corners, labels in every])


def _matched(corners: Tensor, exists: Tensor, priors: PriorTensors) -> Tensor:
    """Return the object that each prior is to find, of those that exist in one image."""
    numbers = exists.nonzero()[:, 0]
    none = numbers.new_full((len(priors.strides),), -1)
    if not len(numbers):
        return none
    overlap = pairwise_iou(corners[numbers], priors.corners)
    highest, objects = overlap.max(0)
    objects = numbers[objects].masked_fill(highest < MIN_OVERLAP, -1)
    best = none.scatter_reduce(0, overlap.argmax(1), numbers, "amax")
    return torch.where(best >= 0, best, objects)


def loss(detector: Detector, outputs: Outputs, targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return smooth-L1 of the offsets plus cross-entropy of the classes, for each matched prior.

    Of the background only the priors of the highest loss count, three for each matched one of
    their image, and three of an image without objects.
    """
    objects = match(targets, priors)
    matched = objects >= 0
    count = matched.sum().clamp(min=1)
    places = matched.nonzero(as_tuple=True)
    which = (places[0], objects[places])
    wanted = encode_ssd(targets.corners[which], _at(priors, places[1]))
    boxes = F.smooth_l1_loss(outputs.boxes[places].float(), wanted, reduction="sum")
    labels = torch.zeros_like(objects)
    labels[places] = targets.labels[which] + 1
    scores = outputs.scores.float()
    each = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
    each = each.view_as(labels)
    chosen = matched | hard_negatives(each.detach(), matched)
    return (boxes + each[chosen].sum()) / count


def hard_negatives(losses: Tensor, matched: Tensor) -> Tensor:
    """Return which unmatched priors (batch, predictions) have the highest losses of their image."""
    ranked = losses.masked_fill(matched, -1).sort(dim=1, descending=True, stable=True).indices
    wanted = NEGATIVES * matched.sum(1, keepdim=True).clamp(min=1)
    first = torch.arange(losses.shape[1], device=losses.device) < wanted
    chosen = torch.zeros_like(matched).scatter_(1, ranked, first)
    return chosen & ~matched


def _at(priors: PriorTensors, places: Tensor) -> PriorTensors:
    return PriorTensors(*(values[places] for values in priors))
