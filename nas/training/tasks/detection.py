"""The task of a detector: the boxes and classes of the objects in an image."""

from dataclasses import dataclass

import torch
from torch import nn

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.network.detector import Detector, Priors
from nas.network.lowering import priors_of
from nas.training.batches import Batches
from nas.training.data import Data, check_task
from nas.training.detection.coding import PriorTensors
from nas.training.detection.distillation import (
    DetectionDistillation,
    PredictionLayout,
    check_same_layout,
)
from nas.training.detection.evaluate import DetectionScore, score_detector
from nas.training.detection.initialisation import initialise_outputs
from nas.training.detection.losses import DetectionLoss
from nas.training.detection.metric import check_metric
from nas.training.recipes import Recipe
from nas.training.tasks.task import Distillation, Loss


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """Detection by a network with these outputs, on images of `side` pixels."""

    detector: Detector
    priors: Priors
    side: int
    name: str = "detection"
    metric: str = "map"
    metrics: tuple[str, ...] = ("map", "map50")

    def check(self, data: Data) -> None:
        """Refuse data without boxes, and a Python without what scores them."""
        check_task(data, self.name)
        check_metric()

    def initialise(self, model: nn.Module) -> None:
        """Let a fresh `model` find next to nothing."""
        initialise_outputs(model, self.detector, self.priors)

    def loss(self, recipe: Recipe, device: torch.device) -> Loss:
        """Return the loss of the detector's coder."""
        return DetectionLoss(detector=self.detector, priors=PriorTensors.of(self.priors, device))

    def check_teacher(self, teacher: Architecture) -> None:
        """Refuse a classifier, and a detector of other predictions."""
        if teacher.detector is None:
            raise NasError("the teacher is a classifier; a detector learns from a detector")
        theirs = PredictionLayout(
            detector=teacher.detector, priors=priors_of(teacher), side=teacher.resolution
        )
        check_same_layout(
            PredictionLayout(detector=self.detector, priors=self.priors, side=self.side), theirs
        )

    def distillation(self, recipe: Recipe, device: torch.device) -> Distillation:
        """Return the divergence from a teacher, most where that is sure of an object."""
        priors = PriorTensors.of(self.priors, device)
        return DetectionDistillation(
            detector=self.detector, priors=priors, temperature=recipe.temperature
        )

    def score(self, model: nn.Module, batches: Batches) -> DetectionScore:
        """Return average precisions and the mean loss."""
        return score_detector(model, batches, self.detector, self.priors)
