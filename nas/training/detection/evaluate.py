"""Score a detector on images with objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.core.errors import NasError
from nas.network.detector import Detector, Priors, default_nms
from nas.training.batches import Batches
from nas.training.boxes import Boxes, Detections, Outputs
from nas.training.detection.coding import PriorTensors
from nas.training.detection.losses import DetectionLoss
from nas.training.detection.metric import AveragePrecision, average_precision
from nas.training.detection.nms import postprocess
from nas.training.evaluate import autocast, in_eval_mode, memory_named
from nas.training.objects import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScore:
    """The average precisions of a detector, its mean loss over images, and their number."""

    precision: AveragePrecision
    loss: float
    images: int

    @property
    def value(self) -> float:
        """What epochs and networks are compared by."""
        return self.precision.map

    @property
    def metrics(self) -> Mapping[str, float]:
        """What is kept for an epoch."""
        return {"map": self.precision.map, "map50": self.precision.map50}


def score_detector(
    model: nn.Module, batches: Batches, detector: Detector, priors: Priors
) -> DetectionScore:
    """Return the score of `model`, on its device, on images in order, not augmented.

    Raises:
        OutOfMemory: if a batch does not fit.
    """
    group, objects = batches.group, objects_of(batches)
    found, losses, images = _found(model, batches, detector, priors)
    shares = group.gather(list(zip(_rows(batches), found, strict=True)))
    total = group.sum_(torch.tensor([losses, images], dtype=torch.float64, device=batches.device))
    ordered = [one for _, one in sorted(chain(*shares), key=itemgetter(0))]
    side, classes = batches.side, detector.classes
    scored = average_precision(ordered, objects, classes=classes, side=side)
    return DetectionScore(precision=scored, loss=float(total[0] / total[1]), images=int(total[1]))


def detect(
    model: nn.Module, batches: Batches, detector: Detector, priors: Priors
) -> Iterator[tuple[Outputs, Boxes, list[Detections]]]:
    """Yield outputs, targets and what is found, for each batch.

    Raises:
        OutOfMemory: if a batch does not fit.
    """
    device = torch.device(batches.device)
    start, nms = PriorTensors.of(priors, device), default_nms(detector)
    with memory_named(batches.batch, batches.side), in_eval_mode(model), torch.inference_mode():
        for pixels, targets in batches:
            with autocast(device):
                outputs = Outputs(*model(pixels))
            yield outputs, targets, postprocess(detector, outputs, start, nms)


def _found(
    model: nn.Module, batches: Batches, detector: Detector, priors: Priors
) -> tuple[list[Detections], float, int]:
    """Return what is found in this process's images, the sum of their losses, and their number."""
    loss = DetectionLoss(detector=detector, priors=PriorTensors.of(priors, batches.device))
    found: list[Detections] = []
    losses = 0.0
    for outputs, targets, ours in detect(model, batches, detector, priors):
        losses += float(loss.by_image(outputs, targets).sum())
        found += [_on_cpu(one) for one in ours]
    return found, losses, len(found)


def _on_cpu(found: Detections) -> Detections:
    corners, scores, labels = (x.cpu() for x in (found.corners, found.scores, found.labels))
    return Detections(corners=corners, scores=scores, labels=labels)


def _rows(batches: Batches) -> list[int]:
    """Return the images that this process is given, in the order in which it is given them."""
    firsts = range(0, len(batches.images), batches.batch)
    rows = np.arange(len(batches.images))
    parts = [batches.group.share(rows[at : at + batches.batch]) for at in firsts]
    return [int(row) for part in parts for row in part]


def objects_of(batches: Batches) -> Objects:
    """Return the objects in the images of `batches`.

    Raises:
        NasError: if they have no boxes.
    """
    labels: Any = batches.images.labels
    if not isinstance(labels, Objects):
        raise NasError(f"{batches.data.name} has no boxes, which a detector is scored by")
    return labels
