"""Momentum with orthogonal steps (Muon; Jordan et al., 2024), for stacked weight matrices.

Without noise in the targets, it fits a small network several times more closely than AdamW in the
same time. torch's own takes one matrix at a time, but `networks` stacks members.
"""

from collections.abc import Sequence

import torch  # fits bundled models, but is not bundled

_MOMENTUM = 0.95
_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that moves singular values to about one (Jordan et al., 2024)."""


class Muon(torch.optim.Optimizer):
    """Steps with singular values of about the rate, for hidden weights, shape (k, m, n)."""

    def __init__(self, weights: Sequence[torch.Tensor], rate: float) -> None:
        """Prepare to change `weights`."""
        super().__init__(weights, {"lr": rate, "momentum": _MOMENTUM})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # never has a closure
        """Change the weights by their gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(mean, group["momentum"])
                weight.sub_(group["lr"] * _orthogonal(ahead))


def _orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return matrices with the same singular vectors and singular values of about one."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x: torch.Tensor = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-12)
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.mT
