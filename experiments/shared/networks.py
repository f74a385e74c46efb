"""Fit small fully connected networks with torch, several at once, in one batched product."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch  # fits bundled models, but is not bundled
from numpy.typing import NDArray

from experiments.shared.muon import Muon
from nas.accuracy.mlp import MLP, Floats, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How networks are fitted: AdamW on the squared error with a one-cycle learning rate.

    `gain` multiplies the inputs; where it is None, every input is standardised instead. `muon` is
    the rate of Muon for all weights but the last; where it is None, AdamW takes those too.
    """

    hidden: tuple[int, ...]
    members: int = 1
    epochs: int = 25
    batch: int = 32
    rate: float = 3e-3
    decay: float = 0.3
    activation: str = "silu"
    gain: float | None = None
    muon: float | None = None


class Networks:
    """Networks of one shape on scaled inputs and standardised targets; seed and order differ."""

    def __init__(self, recipe: Recipe, inputs: Weights, targets: Floats, seed: int) -> None:
        """Fit them to `inputs`, shape (rows, features), and `targets`, shape (rows,)."""
        self._activation = getattr(torch.nn.functional, recipe.activation)
        self._shift, self._spread = _input_scale(inputs, recipe.gain)
        self._mean, self._unit = targets.mean(), targets.std() + 1e-12
        generator = torch.Generator().manual_seed(seed)
        sizes = (inputs.shape[1], *recipe.hidden, 1)
        self._weights, self._biases = [], []
        for before, after in pairwise(sizes):
            weight = torch.randn(recipe.members, before, after, generator=generator)
            self._weights.append((weight / before**0.5).requires_grad_())
            self._biases.append(torch.zeros(recipe.members, 1, after).requires_grad_())
        wanted = torch.tensor((targets - self._mean) / self._unit, dtype=torch.float32)
        self._fit(recipe, self._scaled(inputs), wanted, generator)

    def __call__(self, inputs: Weights) -> Floats:
        """Return the prediction of every member, shape (members, rows)."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(inputs), 512):
                block = self._scaled(inputs[start : start + 512])
                parts.append(self._forward(block.expand(len(self._weights[0]), *block.shape)))
        found: Floats = torch.cat(parts, dim=1).numpy().astype(float) * self._unit + self._mean
        return found

    def export(self) -> MLP:
        """Return the first member, with the scales folded into its first and last layers."""
        weights = [weight[0].detach().numpy().astype(float) for weight in self._weights]
        biases = [bias[0, 0].detach().numpy().astype(float) for bias in self._biases]
        weights[0] = weights[0] / self._spread[:, None]
        biases[0] = biases[0] - self._shift @ weights[0]
        weights[-1] = weights[-1] * self._unit
        biases[-1] = biases[-1] * self._unit + self._mean
        return MLP(weights=_single(weights), biases=_single(biases))

    def _scaled(self, inputs: Weights) -> torch.Tensor:
        return torch.tensor((inputs - self._shift) / self._spread, dtype=torch.float32)

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            inputs = self._activation(inputs @ weight + bias)
        found: torch.Tensor = inputs @ self._weights[-1] + self._biases[-1]
        return found[..., 0]

    def _fit(
        self, recipe: Recipe, inputs: torch.Tensor, wanted: torch.Tensor, generator: torch.Generator
    ) -> None:
        steps = len(inputs) // recipe.batch
        optimizers = self._optimizers(recipe)
        schedules = [
            torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                optimizer.defaults["lr"],
                total_steps=recipe.epochs * steps + 1,
                cycle_momentum=recipe.muon is None,  # Muon gets worse with it
            )
            for optimizer in optimizers
        ]
        for _ in range(recipe.epochs):
            orders = [torch.randperm(len(inputs), generator=generator) for _ in self._weights[0]]
            order = torch.stack(orders)
            for step in range(steps):
                chosen = order[:, step * recipe.batch : (step + 1) * recipe.batch]
                error = self._forward(inputs[chosen]) - wanted[chosen]
                for optimizer in optimizers:
                    optimizer.zero_grad()
                torch.autograd.backward((error**2).mean(dim=1).sum())
                for optimizer, schedule in zip(optimizers, schedules, strict=True):
                    optimizer.step()
                    schedule.step()

    def _optimizers(self, recipe: Recipe) -> list[torch.optim.Optimizer]:
        last = 0 if recipe.muon is None else -1
        groups = [
            {"params": self._weights[last:], "weight_decay": recipe.decay},
            {"params": self._biases, "weight_decay": 0.0},
        ]
        adamw = torch.optim.AdamW(groups, lr=recipe.rate)
        return [adamw] if recipe.muon is None else [adamw, Muon(self._weights[:-1], recipe.muon)]


def _input_scale(inputs: Weights, gain: float | None) -> tuple[Weights, Weights]:
    """Return the shift and scale of every input."""
    if gain is None:
        return inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    return np.zeros(inputs.shape[1]), np.full(inputs.shape[1], 1 / gain)


def _single(arrays: Sequence[Floats]) -> tuple[NDArray[np.float32], ...]:
    return tuple(array.astype(np.float32) for array in arrays)
