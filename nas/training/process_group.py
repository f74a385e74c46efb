"""The process group that trains one network, each process on its share of every batch.

Gradients are averaged, so that all have the same weights after every step (synchronous data
parallelism, as in Goyal et al., 2017, https://arxiv.org/abs/1706.02677). As there, every process
normalises by the statistics of its own share; the running statistics are averaged before they are
used or kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGroup:
    """The processes of a training, as one of them sees them: its `rank`, from 0, and their number.

    With more than one, this process is in torch's process group of that size. Every method must
    then be called by all of them, in the same order.
    """

    rank: int = 0
    size: int = 1

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of `rows`; every row belongs to one process."""
        return rows[self.rank :: self.size]

    def wrapped(self, model: nn.Module) -> nn.Module:
        """Return what to call instead of `model`, so that its gradients become the mean of all."""
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        on = [device] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=on, **_OWN_STATISTICS)

    @torch.no_grad()
    def sum_(self, values: Tensor) -> Tensor:
        """Add the `values` of all processes up, in place, and return them."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    @torch.no_grad()
    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over all processes."""
        if self.size > 1 and tensors:
            flat = self.sum_(torch.cat([tensor.flatten() for tensor in tensors])) / self.size
            parts = torch.split(flat, [tensor.numel() for tensor in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by their ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def broadcast(self, value: T) -> T:
        """Return the `value` of rank 0."""
        if self.size == 1:
            return value
        holder = [value]
        distributed.broadcast_object_list(holder, src=0)
        return holder[0]


SINGLE = ProcessGroup()

_NEW, _OLD = "forward_sync_buffers", "broadcast_buffers"
_KNOWN = signature(DistributedDataParallel.__init__).parameters
_OWN_STATISTICS: Any = {_NEW if _NEW in _KNOWN else _OLD: False}
"""Keeps torch from giving all processes the statistics of rank 0; the old name is that of 2.12."""


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Return the running means and variances of `model`, as they stand."""
    return [value for value in model.buffers() if value.is_floating_point()]
