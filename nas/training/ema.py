"""The moving average of a model's weights and running statistics."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from nas.training.schedule import warm_decay


class ModelEma:
    """A model whose weights follow those of another as an exponential moving average.

    As in the code of EfficientNet, the running statistics are averaged too. The decay warms up
    (`warm_decay`). With a decay of 0 the average is the model itself.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        """Begin with the weights of `model`, which must stay where it is."""
        self.decay = decay
        self.model = deepcopy(model).requires_grad_(False).eval() if decay else model
        self._pairs = (
            list(zip(float_tensors(self.model), float_tensors(model), strict=True)) if decay else []
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the model, after step number `step`."""
        if self._pairs:
            ours, theirs = zip(*self._pairs, strict=True)
            torch._foreach_lerp_(ours, theirs, 1 - warm_decay(self.decay, step))


def float_tensors(model: nn.Module) -> list[Tensor]:
    """Return the weights and running statistics of `model`, as they stand, without counters."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]
