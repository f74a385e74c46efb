"""The loss of a detector, by its coder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.network.detector import Detector
from nas.training.boxes import Boxes, Outputs
from nas.training.detection import ssd, yolo, yolov5
from nas.training.detection.coding import PriorTensors

Loss = Callable[[Detector, Outputs, Boxes, PriorTensors], Tensor]

LOSSES: Mapping[str, Loss] = {"ssd": ssd.loss, "yolo": yolo.loss, "yolov5": yolov5.loss}
"""By coder."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionLoss:
    """The loss of (outputs, targets) for one detector, on one device."""

    detector: Detector
    priors: PriorTensors

    def __call__(self, outputs: Outputs, targets: Boxes) -> Tensor:
        """Return the mean loss of a batch, in single precision."""
        return LOSSES[self.detector.coder](self.detector, Outputs(*outputs), targets, self.priors)

    def by_image(self, outputs: Outputs, targets: Boxes) -> Tensor:
        """Return the loss of each image alone, (batch,), which depends on no other in its batch."""
        images = zip(*outputs, *targets, strict=True)
        alone = [(Outputs(b[None], s[None]), Boxes(c[None], n[None])) for b, s, c, n in images]
        return torch.stack([self(*one) for one in alone])
