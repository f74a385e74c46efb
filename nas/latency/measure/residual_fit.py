"""Fit what a linear model of counts leaves of measured units: a sparse Gaussian process."""

from dataclasses import dataclass
from math import log

import numpy as np

from nas.latency.measure.estimates import Floats
from nas.latency.measure.marginal_likelihood import negative_log_likelihood
from nas.latency.residual import FEATURES, Residual, matern

MIN_UNITS = 150
"""Fewer measured units tell too little about each other: with 110 that were selected, networks
became worse, though the units left out were predicted better."""

_INDUCING = 500
"""Random units: those that are least alike would leave too few where most units are."""

_MAX_COMPARED = 500
"""Units that kernels are compared on, since that takes the cube of the time."""

_LENGTHS = (2.0, 3.0, 4.5, 7.0)
_NOISES = (1e-3, 1e-2, 0.05, 0.2, 0.6)
_MIN_LENGTH, _MAX_LENGTH = 0.4, 150.0
_MIN_NOISE, _MAX_NOISE = 1e-4, 1.5
_STEPS = 60
_IRRELEVANT = 40.0
"""A feature of this length or more, in its standard deviations, makes no difference."""
_JITTER = 1e-8
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The length of each feature, in standard deviations of it, and the noise's part of variance.

    A feature that does not vary has the length infinity.
    """

    lengths: tuple[float, ...]
    noise: float


def choose_kernel(rows: Floats, residuals: Floats) -> Kernel:
    """Return the kernel of the largest likelihood; `rows` of features, `residuals` (n,).

    From the best with one length for all it goes on to one for each. Of more than 500 units, some
    at random are compared.
    """
    from scipy.optimize import minimize  # that it is here the linear fit has found

    inputs, _, _, varied = _standardised(rows)
    some = np.random.default_rng(0).permutation(len(inputs))[:_MAX_COMPARED]
    inputs, residuals = inputs[some], residuals[some]
    length, noise = _one_length(inputs, residuals)
    count = inputs.shape[1]
    found = minimize(
        negative_log_likelihood(inputs, residuals, around=length),
        np.log([*[length] * count, noise]),
        jac=True,
        method="L-BFGS-B",
        bounds=np.log([*[(_MIN_LENGTH, _MAX_LENGTH)] * count, (_MIN_NOISE, _MAX_NOISE)]),
        options={"maxiter": _STEPS},
    )
    lengths = np.full(rows.shape[1], np.inf)
    lengths[varied] = np.exp(found.x[:-1])
    return Kernel(lengths=tuple(lengths.tolist()), noise=float(np.exp(found.x[-1])))


def _one_length(inputs: Floats, residuals: Floats) -> tuple[float, float]:
    """Return the length for all features, and the noise, of the largest likelihood."""
    likelihoods = {}
    for length in _LENGTHS:
        matrix = matern(inputs / length, inputs / length)
        for noise in _NOISES:
            likelihoods[length, noise] = _log_likelihood(matrix, residuals, noise)
    return max(likelihoods, key=likelihoods.__getitem__)


def fit_residual(rows: Floats, residuals: Floats, kernel: Kernel) -> Residual:
    """Return the process of `residuals` (n,), logarithms, over `rows` of features."""
    inputs, means, scales, varied = _standardised(rows)
    lengths = np.array(kernel.lengths)[varied]
    matters = lengths < _IRRELEVANT
    matters[lengths.argmin()] = True
    inputs, lengths = inputs[:, matters] / lengths[matters], lengths[matters]
    names = np.array(FEATURES)[varied][matters]
    offset = float(residuals.mean())
    chosen = np.random.default_rng(0).permutation(len(inputs))[:_INDUCING]
    points = np.unique(inputs[chosen].round(_DIGITS), axis=0)
    inside, across = matern(points, points), matern(inputs, points)
    system = across.T @ across + kernel.noise * inside + _JITTER * len(rows) * np.eye(len(points))
    weights = np.linalg.solve(system, across.T @ (residuals - offset))
    return Residual(
        names=tuple(names.tolist()),
        means=tuple(np.round(means[matters], 6).tolist()),
        scales=tuple(np.round(scales[matters] * lengths, 6).tolist()),
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
