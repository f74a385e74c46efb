"""The loss of YOLOv5: anchors matched by the ratio of their sides, with neighbouring cells."""

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor

from nas.network.detector import Detector
from nas.training.boxes import Boxes, Outputs
from nas.training.detection.coding import PriorTensors, decode
from nas.training.detection.overlap import ciou

BOX_GAIN, CLASS_GAIN, OBJECT_GAIN = 0.05, 0.5, 1.0
CLASSES, SIDE = 80, 640
"""The gains are for so many classes and pixels, and follow their number."""
MAX_RATIO = 4.0
BALANCE = (4.0, 1.0, 0.4)
"""Of objects at the levels, from the smallest stride."""


def match(targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return which priors are to find which objects, (batch, objects, predictions).

    No side is four times that of the other, and the centre of the object lies in the prior's cell,
    or in the half of a neighbour that is next to it, above, below, left or right.
    """
    corners = targets.corners
    middle = (corners[..., :2] + corners[..., 2:]) / 2
    sizes = (corners[..., 2:] - corners[..., :2]).clamp(min=1e-3)
    ratio = sizes[..., None, :] / priors.sizes
    alike = torch.maximum(ratio, 1 / ratio).amax(-1) < MAX_RATIO
    away = ((middle[..., None, :] - priors.centres) / priors.strides[:, None]).abs()
    near = (away.amax(-1) < 1) & (away.amin(-1) <= 0.5)
    return alike & near & (targets.labels >= 0)[..., None]


def loss(detector: Detector, outputs: Outputs, targets: Boxes, priors: PriorTensors) -> Tensor:
    """Return the loss: CIoU and classes of matched priors, and whether there is an object.

    What is learned of an object being there is its CIoU with what is predicted now. Boxes and
    classes are means over all matched priors, where YOLOv5 sums the means of its levels.
    """
    scores = outputs.scores.float()
    image, number, place = match(targets, priors).nonzero(as_tuple=True)
    here = PriorTensors(*(values[place] for values in priors))
    found = decode(detector.coder, outputs.boxes[image, place].float(), here)
    overlap = ciou(found, targets.corners[image, number])
    wanted = torch.zeros_like(scores[..., 0])
    flat = image * wanted.shape[1] + place
    wanted.view(-1).scatter_reduce_(0, flat, overlap.detach().clamp(min=0), "amax")
    labels = F.one_hot(targets.labels[image, number], detector.classes).float()
    total = OBJECT_GAIN * _scale(priors) ** 2 * _objectness(scores[..., 0], wanted, priors)
    count = max(len(flat), 1)  # sums, so that all weights have a gradient where nothing matches
    classes = F.binary_cross_entropy_with_logits(
        scores[image, place, 1:], labels, reduction="sum"
    ) / (count * detector.classes)
    total = total + BOX_GAIN * (1 - overlap).sum() / count
    return total + CLASS_GAIN * detector.classes / CLASSES * classes


def _objectness(scores: Tensor, wanted: Tensor, priors: PriorTensors) -> Tensor:
    """Return the cross-entropy of an object being there, summed over the levels by `BALANCE`."""
    each = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").mean(0)
    total = each.new_zeros(())
    for number, stride in enumerate(sorted(set(priors.strides.tolist()))):
        weight = BALANCE[min(number, len(BALANCE) - 1)]
        total = total + weight * each[priors.strides == stride].mean()
    return total


def _scale(priors: PriorTensors) -> float:
    """Return the side of the input as a share of that which the gains are for."""
    side = float((priors.centres + priors.strides[:, None] / 2).max())
    return side / SIDE
