"""A Gaussian process with a length scale for every feature, fitted with torch."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch  # fits bundled models, but is not bundled

from nas.accuracy.predictor import Floats

TUNING_STEPS, TUNING_ROWS = 50, 1000


@dataclass(slots=True, kw_only=True)
class Kernel:
    """A squared exponential kernel with length scales, a linear part, a constant and noise.

    All hyperparameters are logarithms.
    """

    rates: torch.Tensor
    slopes: torch.Tensor
    amplitude: torch.Tensor
    noise: torch.Tensor

    def between(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Return the covariances of two sets of rows."""
        part = _squared_exponential(one * self.rates.exp(), other * self.rates.exp())
        linear = (one * self.slopes.exp()) @ (other * self.slopes.exp()).T
        return (2 * self.amplitude).exp() * part + linear + 1

    def curved(self, one: torch.Tensor, other: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield `between` without its linear part and constant, a few rows of `one` at a time."""
        one, other = one * self.rates.exp(), other * self.rates.exp()
        step = max(64, 2**20 // len(other))
        for start in range(0, len(one), step):
            part = _squared_exponential(one[start : start + step], other)
            yield part.mul_((2 * self.amplitude).exp())

    def prior(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the variances of rows."""
        return (2 * self.amplitude).exp() + ((rows * self.slopes.exp()) ** 2).sum(1) + 1

    def variance(self) -> torch.Tensor:
        """Return the variance of the noise."""
        return (2 * self.noise).exp() + 1e-6

    def factor(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the Cholesky factor of the noisy covariance of rows."""
        noise = self.variance() * torch.eye(len(rows), dtype=rows.dtype)
        found: torch.Tensor = torch.linalg.cholesky(self.between(rows, rows) + noise)
        return found

    def tensors(self) -> list[torch.Tensor]:
        """Return the hyperparameters."""
        return [getattr(self, field.name) for field in fields(self)]

    def single(self) -> "Kernel":
        """Return this kernel in single precision."""
        rates, slopes, amplitude, noise = (tensor.float() for tensor in self.tensors())
        return Kernel(rates=rates, slopes=slopes, amplitude=amplitude, noise=noise)


def _squared_exponential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    distance = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return torch.exp(-0.5 * distance.clamp_min(0))


def _tuned(inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> Kernel:
    """Return the kernel with the largest marginal likelihood, by Adam on random subsets of rows."""
    features = inputs.shape[1]

    def parameter(size: tuple[int, ...], value: float) -> torch.Tensor:
        return torch.full(size, float(np.log(value)), dtype=torch.float64, requires_grad=True)

    kernel = Kernel(
        rates=parameter((features,), 0.5 * features**-0.5),
        slopes=parameter((features,), features**-0.5),
        amplitude=parameter((), 1.0),
        noise=parameter((), 0.1),
    )
    optimizer = torch.optim.Adam(kernel.tensors(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=TUNING_STEPS + 1)
    rng = np.random.default_rng(seed)
    for _ in range(TUNING_STEPS):
        size = min(TUNING_ROWS, len(inputs))
        chosen = torch.tensor(rng.choice(len(inputs), size, replace=False))
        factor = kernel.factor(inputs[chosen])
        solved = torch.cholesky_solve(targets[chosen, None], factor)[:, 0]
        loss = 0.5 * targets[chosen] @ solved + factor.diagonal().log().sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    for tensor in kernel.tensors():
        tensor.requires_grad_(False)
    return kernel


class GaussianProcess:
    """A Gaussian process on standardised features and targets."""

    def __init__(self, inputs: Floats, targets: Floats, seed: int) -> None:
        """Fit it to `inputs`, shape (rows, features), and `targets`, shape (rows,)."""
        self._shift, self._spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
        self._mean, self._unit = targets.mean(), targets.std()
        self._rows = self._standardised(inputs)
        wanted = torch.tensor((targets - self._mean) / self._unit)
        self._kernel = _tuned(self._rows, wanted, seed)
        self._factor = self._kernel.factor(self._rows)
        self._solved = torch.cholesky_solve(wanted[:, None], self._factor)[:, 0]

    def mean(self, inputs: Floats) -> Floats:
        """Return the predictions, shape (rows,); single precision, which is enough and fast."""
        kernel, solved = self._kernel.single(), self._solved.float()
        rows, known = self._standardised(inputs).float(), self._rows.float()
        linear = (2 * kernel.slopes).exp() * (known.T @ solved)
        parts = [part @ solved for part in kernel.curved(rows, known)]
        result = torch.cat(parts) + rows @ linear + solved.sum()
        mean: Floats = result.numpy().astype(float) * self._unit + self._mean
        return mean

    def deviation(self, inputs: Floats) -> Floats:
        """Return the standard deviations of new measurements, noise included, shape (rows,)."""
        parts = []
        for start in range(0, len(inputs), 4096):
            rows = self._standardised(inputs[start : start + 4096])
            across = self._kernel.between(self._rows, rows)
            solved = torch.linalg.solve_triangular(self._factor, across, upper=False)
            rest = (self._kernel.prior(rows) - (solved**2).sum(0)).clamp_min(0)
            parts.append((rest + self._kernel.variance()).sqrt())
        deviation: Floats = torch.cat(parts).numpy() * self._unit
        return deviation

    def _standardised(self, inputs: Floats) -> torch.Tensor:
        return torch.tensor((inputs - self._shift) / self._spread)
