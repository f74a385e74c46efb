"""Judges of another kind than the process: ensembles of small networks on the same rows.

    logit(top1) = offset[scheme] + slope[scheme] * f(x) + recipe + distillation

`f` is a linear function of the standardised features plus the mean of `MEMBERS` networks with one
hidden layer. Each is fitted without one family of published networks, so that it can judge a
network near that family as something new.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from experiments.fit_published_accuracy.process import SCHEMES, logit
from experiments.fit_published_accuracy.rows import PUBLISHED, Table
from nas.accuracy.features import Floats
from nas.accuracy.mlp import MLP

MEMBERS, HIDDEN = 8, 12
STEPS, RATE = 1_500, 1e-2
LINEAR_DECAY, HIDDEN_DECAY, RECIPE_DECAY = 0.03, 0.03, 3.0
"""Penalties on squared weights, in the units of a published network's squared error."""
NOISE = 0.05
"""Logits: what a published network is trusted to; the squared error is measured in it."""
LARGE_SHARE = 0.5
"""The weight of each large set over that of all published networks."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What an ensemble says: logits of top-1 by the reference recipe, from standardised features."""

    linear: Floats
    network: MLP

    def __call__(self, features: Floats) -> Floats:
        """Return the logits of networks with these standardised features."""
        logits: Floats = features @ self.linear + self.network(features)
        return logits


class _Ensemble(torch.nn.Module):
    """All members at once: every tensor has a first dimension for them."""

    def __init__(self, inputs: int, recipes: int, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        shape = (MEMBERS, inputs, HIDDEN)
        self.linear = torch.nn.Parameter(torch.zeros(MEMBERS, inputs, 1))
        self.first = torch.nn.Parameter(0.5 * torch.randn(shape, generator=draw) / inputs**0.5)
        self.bias = torch.nn.Parameter(0.1 * torch.randn(MEMBERS, 1, HIDDEN, generator=draw))
        self.last = torch.nn.Parameter(0.1 * torch.randn(MEMBERS, HIDDEN, 1, generator=draw))
        self.offset = torch.nn.Parameter(torch.ones(MEMBERS, SCHEMES))
        self.slope = torch.nn.Parameter(torch.zeros(MEMBERS, SCHEMES))
        self.recipe = torch.nn.Parameter(torch.zeros(MEMBERS, recipes))
        self.distilled = torch.nn.Parameter(torch.zeros(MEMBERS, 1))

    def forward(self, x: Tensor, scheme: Tensor, recipe: Tensor, distilled: Tensor) -> Tensor:
        """Return logits, shape (members, rows)."""
        hidden = torch.nn.functional.silu(x @ self.first + self.bias)
        f = (x @ self.linear + hidden @ self.last)[:, :, 0]
        slope = torch.where(scheme == PUBLISHED, 0.0, self.slope[:, scheme]).exp()
        effect = torch.where(recipe > 0, self.recipe[:, recipe.clamp_min(0)], 0.0)
        return self.offset[:, scheme] + slope * f + effect + distilled * self.distilled

    def penalty(self) -> Tensor:
        """Return the price of the weights of all members."""
        effects = self.recipe.square().sum() + self.distilled.square().sum()
        return (
            LINEAR_DECAY * self.linear.square().sum()
            + HIDDEN_DECAY * (self.first.square().sum() + self.last.square().sum())
            + RECIPE_DECAY * effects
            + 0.1 * self.slope.square().sum()
        ) / NOISE


def fit_judge(rows: Table, *, seed: int = 0) -> Judge:
    """Return the ensemble fitted to `rows`, with standardised features."""
    model = _Ensemble(rows.features.shape[1], int(rows.recipes.max()) + 1, seed)
    x = torch.tensor(rows.features, dtype=torch.float32)
    target = torch.tensor(logit(rows.top1), dtype=torch.float32)
    scheme, recipe = torch.tensor(rows.schemes), torch.tensor(rows.recipes)
    distilled = torch.tensor(rows.distilled, dtype=torch.float32)
    counts = np.bincount(rows.schemes, minlength=SCHEMES)
    share = np.array([1.0, *([LARGE_SHARE] * (SCHEMES - 1))]) * counts[PUBLISHED]
    weight = torch.tensor((share / np.maximum(counts, 1))[rows.schemes], dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS + 1)
    for _ in range(STEPS):
        errors = (model(x, scheme, recipe, distilled) - target) / NOISE
        loss = (
            weight
            * torch.nn.functional.huber_loss(
                errors, torch.zeros_like(errors), reduction="none", delta=3.0
            )
        ).sum() + model.penalty()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimizer.step()
        schedule.step()
    return _joined(model)


def _joined(model: _Ensemble) -> Judge:
    """Return the members as one network: side by side in the hidden layer, averaged behind it."""
    with torch.no_grad():
        first = model.first.permute(1, 0, 2).reshape(model.first.shape[1], -1)
        last = model.last.reshape(-1, 1) / MEMBERS
        offset = model.offset[:, PUBLISHED].mean().reshape(1)
        linear = model.linear.mean(dim=0)[:, 0]
        network = MLP(
            weights=(first.numpy(), last.numpy()),
            biases=(model.bias.reshape(-1).numpy(), offset.numpy()),
        )
    return Judge(linear.double().numpy(), network)
