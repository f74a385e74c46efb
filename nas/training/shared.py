"""The interface of a training whose steps train several networks that share their weights."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from nas.training.batches import Batch, Batches
from nas.training.tasks.task import Loss, Scored


class SharedTraining(Protocol):
    """What a training does in the place of training the one network of its architecture."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the outcome, as plain data."""

    def build(self, seed: int) -> nn.Module:
        """Return the module to train, on the CPU, freshly drawn with `seed`."""

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Iterator[Tensor]:
        """Yield parts of the loss of a batch; each may be backpropagated before the next is asked.

        What is random follows torch's generator, which is set for every step.
        """

    def score(self, model: nn.Module, batches: Batches) -> Scored:
        """Return how good `model` is on the validation images."""
