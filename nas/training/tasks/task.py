"""The interface of tasks: all that the loop of a training knows of what is learned."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nas.network.blocks import Architecture
from nas.training.batches import Batches
from nas.training.data import Data
from nas.training.recipes import Recipe

Loss = Callable[[Any, Any], Tensor]
"""The mean loss of a batch, from the outputs of a model and the targets of `Batches`."""

Distillation = Callable[[Any, Any], Tensor]
"""How far the outputs of a model lie from those of its teacher for the same images."""


class Scored(Protocol):
    """How good a model is on the images of a split, and the mean loss there.

    `value` is its metric, a fraction, the more the better; `metrics` are all that are kept for an
    epoch, by name, that one first.
    """

    @property
    def loss(self) -> float:
        """The mean loss."""

    @property
    def images(self) -> int:
        """The number of images."""

    @property
    def value(self) -> float:
        """What epochs and networks are compared by."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What is kept for an epoch."""


class Task(Protocol):
    """What is learned, by the architecture that learns it; see `nas.training.tasks.find`."""

    @property
    def name(self) -> str:
        """Return what `Data.task` calls it."""

    @property
    def metric(self) -> str:
        """The name of the value that is maximised: `top1` or `map`."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all that is kept for an epoch, `metric` first."""

    def check(self, data: Data) -> None:
        """Refuse data that it cannot be learned from, or scored on.

        Raises:
            NasError: saying what was found, and what to do.
        """

    def initialise(self, model: nn.Module) -> None:
        """Set the weights of a freshly drawn `model` that the task does not leave to chance."""

    def loss(self, recipe: Recipe, device: torch.device) -> Loss:
        """Return the loss of a training by `recipe` on `device`."""

    def check_teacher(self, teacher: Architecture) -> None:
        """Refuse a teacher whose outputs are not those of the architecture that learns.

        Raises:
            NasError: naming what differs.
        """

    def distillation(self, recipe: Recipe, device: torch.device) -> Distillation:
        """Return what a training by `recipe` on `device` learns from a teacher."""

    def score(self, model: nn.Module, batches: Batches) -> Scored:
        """Return the score of `model`, on its device, on images in order, not augmented.

        Each process of the group of `batches` scores its share, and gets the result of all.

        Raises:
            OutOfMemory: if a batch does not fit.
        """
