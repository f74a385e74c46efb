"""The task of a detector: the boxes and classes of the objects in an image."""

from dataclasses import dataclass

import torch
from torch import nn

from nas.network.detector import Detector, Priors
from nas.training.batches import Batches
from nas.training.data import Data, check_task
from nas.training.detection.beginning import begin_outputs
from nas.training.detection.coding import Start
from nas.training.detection.evaluate import DetectionScore, score_detector
from nas.training.detection.losses import DetectionLoss
from nas.training.detection.metric import check_metric
from nas.training.recipes import Recipe
from nas.training.tasks.task import Loss


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """Detection by a network with these outputs."""

    detector: Detector
    priors: Priors
    name: str = "detection"
    metric: str = "map"
    metrics: tuple[str, ...] = ("map", "map50")

    def check(self, data: Data) -> None:
        """Refuse data without boxes, and a Python without what scores them."""
        check_task(data, self.name)
        check_metric()

    def begin(self, model: nn.Module) -> None:
        """Let a fresh `model` find next to nothing."""
        begin_outputs(model, self.detector, self.priors)

    def loss(self, recipe: Recipe, device: torch.device) -> Loss:
        """Return the loss of the detector's coder."""
        return DetectionLoss(detector=self.detector, start=Start.of(self.priors, device))

    def score(self, model: nn.Module, batches: Batches) -> DetectionScore:
        """Return average precisions and the mean loss."""
        return score_detector(model, batches, self.detector, self.priors)
