"""A training before it starts: what is trained, on what, how, and how it is run."""

from dataclasses import dataclass, field

import torch
from torch import nn

from nas.core.progress import Report
from nas.network.blocks import Architecture
from nas.network.checkpoint import Triple
from nas.network.lineage import Lineage
from nas.network.weights import Weights
from nas.training.batches import Batches
from nas.training.data import Data
from nas.training.evaluate import in_order
from nas.training.process_group import SINGLE, ProcessGroup
from nas.training.recipes import Recipe
from nas.training.shared import SharedTraining
from nas.training.tasks.find import task_of
from nas.training.tasks.task import Scored, Task

SAVE_SECONDS = 60.0
MIN_SCORED = 64
"""Images that are scored at once, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a training is run.

    Only `teacher`, `weights`, `quantize` and `normalisation` change its result.

    `device`: "auto", "cpu" or "cuda". `teacher`: a trained network to learn from, a training folder
    or a checkpoint. `weights`: what to begin with, instead of random numbers;
    `weights_fingerprint`: that of the weights a training to resume began with, if not at hand;
    `weights_name`: what they are called, for the record. `lineage`: how the network was found, for
    its model card.
    `normalisation`: mean and standard deviation of the images that the weights were trained on,
    instead of those of the data. `quantize`: values and weights are rounded as in the int8 graph of
    the network, which begins with the given weights; ranges are calibrated, and then learned.
    `extend`: a folder with fewer epochs of the same recipe gets more. `until`: the epoch to stop
    after, before the last; `seconds`: the time to stop after, including earlier runs; both leave a
    training that can be resumed (0: to the end). `save_seconds`: how often to save within an epoch.
    `report` is called with how many images are done, of how many, and a note.
    The processes of `group` train on a share of every batch each; rank 0 keeps the folder.
    """

    device: str = "auto"
    teacher: str = ""
    weights: Weights | None = field(default=None, repr=False, compare=False)
    weights_fingerprint: str = ""
    weights_name: str = ""
    lineage: Lineage = Lineage()  # noqa: RUF009  # frozen
    normalisation: tuple[Triple, Triple] | None = None
    quantize: bool = False
    extend: bool = False
    until: int = 0
    seconds: float = 0.0
    save_seconds: float = SAVE_SECONDS
    report: Report | None = None
    group: ProcessGroup = SINGLE


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What is trained: an architecture and a recipe, both made for the data.

    With `shared`, the architecture is the largest of those that share the weights.
    """

    arch: Architecture
    data: Data
    recipe: Recipe
    seed: int
    options: Options
    shared: SharedTraining | None = None

    @property
    def task(self) -> Task:
        """What is learned."""
        return task_of(self.arch)

    @property
    def validation(self) -> Batches:
        """The validation images, on the right device."""
        return in_order(
            self.data.val,
            self.data,
            side=self.arch.resolution,
            batch=max(self.recipe.batch, MIN_SCORED if self.data.task == "classification" else 1),
            device=torch.device(self.options.device),
            group=self.options.group,
        )

    def batches(self, epoch: int, start: int = 0) -> Batches:
        """Return the training batches of an epoch, from number `start`, on the right device."""
        return Batches(
            self.data.train,
            batch=self.recipe.batch,
            side=self.arch.resolution,
            data=self.data,
            seed=self.seed,
            epoch=epoch,
            shuffle=True,
            augment=self.recipe.boxes if self.data.task == "detection" else self.recipe.augment,
            device=self.options.device,
            start=start,
            drop_last=True,
            group=self.options.group,
        )

    def score(self, model: nn.Module) -> Scored:
        """Return how good `model` is on the validation images."""
        return (self.shared or self.task).score(model, self.validation)
