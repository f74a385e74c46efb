"""The task of a classifier: the class of an image."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nas.core.errors import NasError
from nas.network.blocks import Architecture
from nas.training.batches import Batches
from nas.training.data import Data, check_task
from nas.training.evaluate import Score, score_batches
from nas.training.losses import cross_entropy, distillation
from nas.training.recipes import Recipe
from nas.training.tasks.task import Distillation, Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """Classification; the same for all architectures."""

    name: str = "classification"
    metric: str = "top1"
    metrics: tuple[str, ...] = ("top1",)

    def check(self, data: Data) -> None:
        """Refuse data without labels of whole images."""
        check_task(data, self.name)

    def initialise(self, model: nn.Module) -> None:
        """Leave all weights as they were drawn."""

    def loss(self, recipe: Recipe, device: torch.device) -> Loss:
        """Return the cross-entropy with smoothed labels."""
        return partial(cross_entropy, smoothing=recipe.label_smoothing)

    def check_teacher(self, teacher: Architecture) -> None:
        """Refuse a detector."""
        if teacher.detector is not None:
            raise NasError("the teacher is a detector; a classifier learns from a classifier")

    def distillation(self, recipe: Recipe, device: torch.device) -> Distillation:
        """Return the divergence of softened classes."""
        return partial(distillation, temperature=recipe.temperature)

    def score(self, model: nn.Module, batches: Batches) -> Score:
        """Return top-1 accuracy and cross-entropy."""
        return score_batches(model, batches)
