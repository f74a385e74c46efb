"""A Gaussian process for few, noisy rows; a small network is then distilled from it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import log

import numpy as np
import torch
from torch import Tensor

from nas.accuracy.predictor import Accuracy, Floats

_STEPS, _RATE = 60, 0.1
_MAX_TUNING = 400
"""The most rows that hyperparameters are tuned on; if there are more, each step draws some."""
_APART = 0.5
"""The prior standard deviation of a feature's log length and log weight from the common ones."""
_BROAD = 1.5
"""The prior standard deviation of the other logarithms."""
_NOISE_WIDTH = 0.6
"""The same for the noise; it is narrower, since few rows are easily explained without noise."""
_WIDTHS = (_BROAD, _BROAD, _APART, _BROAD, _APART, _NOISE_WIDTH)
"""The prior standard deviations, in the order of `Kernel`."""
_MIN_NOISE = 1e-4
_BLOCK = 2048


@dataclass(slots=True, kw_only=True)
class Kernel:
    """The logarithmic hyperparameters: squared exponential, linear part, constant and noise.

    `rate`, the inverse length, and `slope`, the weight in the linear part, are common to all
    features; `rates` and `slopes` are the differences of single features from them.
    """

    amplitude: Tensor
    rate: Tensor
    rates: Tensor
    slope: Tensor
    slopes: Tensor
    noise: Tensor

    def tensors(self) -> list[Tensor]:
        """Return the hyperparameters."""
        return [getattr(self, field.name) for field in fields(self)]

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the covariances between two sets of rows, shape (len(one), len(other))."""
        rates, slopes = (self.rate + self.rates).exp(), (self.slope + self.slopes).exp()
        a, b = one * rates, other * rates
        apart = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        smooth = (2 * self.amplitude).exp() * torch.exp(-0.5 * apart.clamp_min(0))
        covariances: Tensor = smooth + (one * slopes) @ (other * slopes).T + 1
        return covariances

    def prior(self, rows: Tensor) -> Tensor:
        """Return the prior variances of rows."""
        slopes = (self.slope + self.slopes).exp()
        return (2 * self.amplitude).exp() + ((rows * slopes) ** 2).sum(1) + 1

    def variance(self) -> Tensor:
        """Return the variance of the noise."""
        return (2 * self.noise).exp() + _MIN_NOISE

    def factor(self, rows: Tensor) -> Tensor:
        """Return the Cholesky factor of the rows' covariance, with noise."""
        noise = self.variance() * torch.eye(len(rows), dtype=rows.dtype)
        factor: Tensor = torch.linalg.cholesky(self.between(rows, rows) + noise)
        return factor


class GaussianProcess:
    """A Gaussian process (Rasmussen & Williams, 2006) on rows of features."""

    def __init__(self, inputs: Floats, targets: Floats, kernel: Kernel) -> None:
        """Fit `inputs`, shape (rows, features), and `targets`, shape (rows,)."""
        self._mean, self._unit = _scale(targets)
        self._rows, self._kernel = torch.tensor(inputs), kernel
        self._factor = kernel.factor(self._rows)
        wanted = torch.tensor((targets - self._mean) / self._unit)
        self._solved = torch.cholesky_solve(wanted[:, None], self._factor)[:, 0]

    def mean(self, inputs: Floats) -> Floats:
        """Return the predictions for rows of features, shape (rows,)."""
        parts = [self._across(inputs, start)[1].T @ self._solved for start in _starts(inputs)]
        result: Floats = torch.cat(parts).numpy() * self._unit + self._mean
        return result

    def __call__(self, inputs: Floats) -> Accuracy:
        """Return the predictions, and the standard deviations of new (noisy) measurements."""
        means, deviations = [], []
        for start in _starts(inputs):
            rows, across = self._across(inputs, start)
            solved = torch.linalg.solve_triangular(self._factor, across, upper=False)
            rest = (self._kernel.prior(rows) - (solved**2).sum(0)).clamp_min(0)
            means.append(across.T @ self._solved)
            deviations.append((rest + self._kernel.variance()).sqrt())
        return Accuracy(
            torch.cat(means).numpy() * self._unit + self._mean,
            torch.cat(deviations).numpy() * self._unit,
        )

    def left_out(self) -> Floats:
        """Return the leave-one-out standard deviation of every row, shape (rows,).

        It is the inverse square root of the diagonal of the inverse covariance (Rasmussen &
        Williams, 2006, equation 5.12).
        """
        precision = torch.cholesky_inverse(self._factor).diagonal()
        result: Floats = precision.rsqrt().numpy() * self._unit
        return result

    def _across(self, inputs: Floats, start: int) -> tuple[Tensor, Tensor]:
        """Return a chunk of rows, and their covariances with the fitted rows."""
        rows = torch.tensor(inputs[start : start + _BLOCK])
        return rows, self._kernel.between(self._rows, rows)


def _starts(inputs: Floats) -> range:
    return range(0, len(inputs), _BLOCK)


def _scale(targets: Floats) -> tuple[float, float]:
    """Return the mean of targets, and their standard deviation or 1 if that is 0."""
    return float(targets.mean()), float(targets.std()) or 1.0


def average(kernels: Sequence[Kernel]) -> Kernel:
    """Return the kernel with the geometric means of the hyperparameters of `kernels`."""
    stacks = zip(*(kernel.tensors() for kernel in kernels), strict=True)
    means = [torch.stack(stack).mean(dim=0) for stack in stacks]
    return Kernel(**{f.name: mean for f, mean in zip(fields(Kernel), means, strict=True)})


def tune(features: Floats, wanted: Floats, *, seed: int) -> Kernel:
    """Return the kernel of maximum posterior density, found by Adam.

    `features`, of shape (rows, features), should have standard deviations of about 1. Each feature
    has its own length and linear weight, which a prior shrinks towards common ones: with few rows
    they hardly differ; with many, those of irrelevant features vanish.
    """
    mean, unit = _scale(wanted)
    inputs, targets = torch.tensor(features), torch.tensor((wanted - mean) / unit)
    kernel, centres = _start(features.shape[1])
    optimizer = torch.optim.Adam(kernel.tensors(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS + 1)
    rng = np.random.default_rng(seed)
    for _ in range(_STEPS):
        size = min(_MAX_TUNING, len(inputs))
        chosen = torch.tensor(rng.choice(len(inputs), size, replace=False))
        loss = _misfit(kernel, inputs[chosen], targets[chosen]) * (len(inputs) / size)
        for tensor, centre, width in zip(kernel.tensors(), centres, _WIDTHS, strict=True):
            loss = loss + 0.5 * (((tensor - centre) / width) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimizer.step()
        schedule.step()
    for tensor in kernel.tensors():
        tensor.requires_grad_(False)
    return kernel


def _start(count: int) -> tuple[Kernel, list[Tensor]]:
    """Return the initial kernel for `count` features, and the means of the priors."""
    values = (0.0, -0.5 * log(4 * count), 0.0, -0.5 * log(4 * count), 0.0, -1.2)
    sizes = ((), (), (count,), (), (count,), ())
    centres = [
        torch.full(size, value, dtype=torch.float64)
        for size, value in zip(sizes, values, strict=True)
    ]
    free = [centre.clone().requires_grad_() for centre in centres]
    return Kernel(**{f.name: x for f, x in zip(fields(Kernel), free, strict=True)}), centres


def _misfit(kernel: Kernel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the negative log marginal likelihood, without its constant."""
    factor = kernel.factor(inputs)
    solved = torch.cholesky_solve(targets[:, None], factor)[:, 0]
    return 0.5 * targets @ solved + factor.diagonal().log().sum()
