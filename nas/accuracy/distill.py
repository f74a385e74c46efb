"""Fit a small fully connected network to the predictions of a larger model."""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.accuracy.mlp import MLP, Floats, Weights

_RATE, _DECAY = 5e-3, 0.01
_CLIP = 1.0


def distill(
    inputs: Weights, targets: Floats, *, hidden: tuple[int, ...], steps: int, batch: int, seed: int
) -> MLP:
    """Return a network with layers of `hidden` widths, fitted to `targets` of shape (n,).

    `inputs` has shape (n, features). It is fitted by AdamW (Loshchilov & Hutter, 2019) on the
    squared error, with a one-cycle learning rate; the last layer absorbs the scale of the targets.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, unit = float(targets.mean()), float(targets.std()) or 1.0
    wanted = torch.tensor((targets - mean) / unit, dtype=torch.float32)
    weights, biases = _drawn((inputs.shape[1], *hidden, 1), generator)
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": _DECAY}, {"params": biases, "weight_decay": 0.0}],
        lr=_RATE,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1)
    known = torch.tensor(inputs)
    for _ in range(steps):
        chosen = torch.randint(len(known), (batch,), generator=generator)
        loss = ((_forward(known[chosen], weights, biases) - wanted[chosen]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        torch.nn.utils.clip_grad_norm_([*weights, *biases], _CLIP)
        optimizer.step()
        schedule.step()
    return _network(weights, biases, mean, unit)


def _drawn(sizes: tuple[int, ...], generator: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Return random weights and biases of 0 for layers of these sizes."""
    weights = [
        (torch.randn(before, after, generator=generator) / before**0.5).requires_grad_()
        for before, after in pairwise(sizes)
    ]
    return weights, [torch.zeros(after).requires_grad_() for after in sizes[1:]]


def _forward(inputs: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs = torch.nn.functional.silu(inputs @ weight + bias)
    return (inputs @ weights[-1] + biases[-1])[:, 0]


def _network(weights: list[Tensor], biases: list[Tensor], mean: float, unit: float) -> MLP:
    plain, shifts = [_array(weight) for weight in weights], [_array(bias) for bias in biases]
    plain[-1] = plain[-1] * np.float32(unit)
    shifts[-1] = shifts[-1] * np.float32(unit) + np.float32(mean)
    return MLP(weights=tuple(plain), biases=tuple(shifts))


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().numpy()
    return array
