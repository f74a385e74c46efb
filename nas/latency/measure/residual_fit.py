"""Fit what a linear model of counts leaves of measured units: a sparse Gaussian process."""

from dataclasses import dataclass
from math import log

import numpy as np

from nas.latency.measure.estimates import Floats
from nas.latency.residual import FEATURES, Residual, matern

MIN_UNITS = 150
"""Fewer measured units tell too little about each other: with 110 that were selected, networks
became worse, though the units left out were predicted better."""

_INDUCING = 200
"""Random units: those that are least alike would leave too few where most units are."""

_MAX_COMPARED = 2000
"""Units that kernels are compared on, since that takes the cube of the time and the square of the
memory: of 4000 it would take minutes, of a large imported table more memory than there is."""

_LENGTHS = (2.0, 3.0, 4.5, 7.0)
_NOISES = (1e-3, 1e-2, 0.05, 0.2, 0.6)
_JITTER = 1e-8
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The length scale, in standard deviations of the inputs, and the noise's part of variance."""

    length: float
    noise: float


def choose_kernel(rows: Floats, residuals: Floats) -> Kernel:
    """Return the kernel of the largest likelihood; `rows` of features, `residuals` (n,).

    Of more than 2000 units, some at random are compared.
    """
    inputs = _standardised(rows)[0]
    if len(inputs) > _MAX_COMPARED:
        some = np.random.default_rng(0).permutation(len(inputs))[:_MAX_COMPARED]
        inputs, residuals = inputs[some], residuals[some]
    likelihoods = {}
    for length in _LENGTHS:
        matrix = matern(inputs / length, inputs / length)
        for noise in _NOISES:
            kernel = Kernel(length=length, noise=noise)
            likelihoods[kernel] = _log_likelihood(matrix, residuals, noise)
    return max(likelihoods, key=likelihoods.__getitem__)


def fit_residual(rows: Floats, residuals: Floats, kernel: Kernel) -> Residual:
    """Return the process of `residuals` (n,), logarithms, over `rows` of features."""
    inputs, means, scales, varied = _standardised(rows)
    inputs, offset = inputs / kernel.length, float(residuals.mean())
    chosen = np.random.default_rng(0).permutation(len(inputs))[:_INDUCING]
    points = np.unique(inputs[chosen].round(_DIGITS), axis=0)
    inside, across = matern(points, points), matern(inputs, points)
    system = across.T @ across + kernel.noise * inside + _JITTER * len(rows) * np.eye(len(points))
    weights = np.linalg.solve(system, across.T @ (residuals - offset))
    return Residual(
        names=tuple(name for name, varies in zip(FEATURES, varied, strict=True) if varies),
        means=tuple(np.round(means, 6).tolist()),
        scales=tuple(np.round(scales * kernel.length, 6).tolist()),
        offset=round(offset, 6),
        points=tuple(map(tuple, points.tolist())),
        weights=tuple(np.round(weights, 6).tolist()),
    )


def _standardised(rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the features that vary, their means and deviations, and which those are."""
    varied = rows.std(axis=0) > _JITTER
    means, scales = rows[:, varied].mean(axis=0), rows[:, varied].std(axis=0)
    return (rows[:, varied] - means) / scales, means, scales, varied


def _log_likelihood(kernel: Floats, residuals: Floats, noise: float) -> float:
    """Return the logarithm of the marginal likelihood, up to a constant, at the best variance."""
    centred = residuals - residuals.mean()
    factor = np.linalg.cholesky(kernel + noise * np.eye(len(kernel)))
    whitened = np.linalg.solve(factor, centred)
    variance = max(float(whitened @ whitened) / len(centred), 1e-12)
    return -0.5 * len(centred) * log(variance) - float(np.log(np.diag(factor)).sum())
