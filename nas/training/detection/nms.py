"""From the outputs of a detector to the boxes it finds: threshold, suppression, a limit."""

import torch
from torch import Tensor

from nas.network.detector import Detector, NmsSettings
from nas.training.boxes import Detections, Outputs
from nas.training.detection.coding import PriorTensors, decode, probabilities
from nas.training.detection.overlap import pairwise_iou

_BLOCK = 256
"""Boxes that are decided at once; a table of all would be slow, and mostly of dropped ones."""


@torch.no_grad()
def postprocess(
    detector: Detector, outputs: Outputs, priors: PriorTensors, nms: NmsSettings
) -> list[Detections]:
    """Return the boxes found in each image, best first.

    They may reach beyond the image, as those that are exported do: COCO's metric takes them as they
    are, and whoever draws or crops them cuts them there.
    """
    shares = probabilities(detector.coder, outputs.scores.float())
    boxes = decode(detector.coder, outputs.boxes.float(), priors)
    count = min(nms.candidates, shares[0].numel())
    scores, places = shares.flatten(1).topk(count, dim=1)
    labels = places % detector.classes
    corners = boxes.gather(1, (places // detector.classes)[..., None].expand(-1, -1, 4))
    return [
        _kept(Detections(corners=c, scores=s, labels=n), nms)
        for c, s, n in zip(corners, scores, labels, strict=True)
    ]


def _kept(found: Detections, nms: NmsSettings) -> Detections:
    """Return what is kept of boxes in the order of their scores."""
    count = int((found.scores > nms.score).sum())
    corners, labels = found.corners[:count], found.labels[:count]
    keep = batched_nms(corners, labels, overlap=nms.overlap, most=nms.most)
    return Detections(corners=corners[keep], scores=found.scores[keep], labels=labels[keep])


def batched_nms(corners: Tensor, labels: Tensor, *, overlap: float, most: int) -> Tensor:
    """Return the rows of the boxes that non-maximum suppression keeps, class by class.

    `corners` (n, 4) are ordered by their scores, best first. A box is dropped if it overlaps one
    that is kept, of the same class, by an IoU above `overlap`. It ends when `most` are kept.
    """
    kept = torch.empty(0, dtype=torch.int64, device=corners.device)
    for first in range(0, len(corners), _BLOCK):
        rows = torch.arange(first, min(first + _BLOCK, len(corners)), device=corners.device)
        if len(kept):
            rows = rows[~_suppresses(corners, labels, kept, rows, overlap=overlap).any(0)]
        kept = torch.cat(
            [kept, rows[_kept_among(_suppresses(corners, labels, rows, rows, overlap=overlap))]]
        )
        if len(kept) >= most:
            break
    return kept[:most]


def _suppresses(
    corners: Tensor, labels: Tensor, first: Tensor, second: Tensor, *, overlap: float
) -> Tensor:
    """Return which boxes of `first` would drop which of `second`, both rows."""
    near = pairwise_iou(corners[first], corners[second]) > overlap
    return near & (labels[first][:, None] == labels[second])


def _kept_among(drops: Tensor) -> Tensor:
    """Return which boxes are kept of those that would drop each other, best first.

    All are decided at once, again and again until nothing changes (Zheng et al., 2021), which is
    when the chains of boxes that drop each other are at their end.
    """
    table = drops.triu(1).float()
    keep = torch.ones(len(table), device=table.device)
    while True:
        now = (keep @ table == 0).float()
        if torch.equal(now, keep):
            return keep.bool()
        keep = now
