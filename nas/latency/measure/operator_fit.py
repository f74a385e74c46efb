"""Fit an operator model to measured units: coefficients >= 0, on relative error, and a residual."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.errors import missing_package
from nas.latency.measure.estimates import Floats
from nas.latency.measure.residual_fit import MIN_UNITS, Kernel, choose_kernel, fit_residual
from nas.latency.predictor import COUNTS, EXTENTS, FINER, OpModel, counts_of, extents
from nas.latency.residual import features
from nas.network.layers import Unit

_NAMES = (*COUNTS, *FINER)
_NS_PER_MS = 1e6
_FOLDS = 10
_LITTLE = 0.05
_ENOUGH_BETTER = 0.75
_PRIOR = 3.0
"""How many measured units a prior weighs as much as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFit:
    """A fitted model, and its relative error on each unit in ten-fold cross-validation."""

    model: OpModel
    errors: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """The features of the measured units, shape (units, features), and the kernel over them."""

    shapes: Floats
    kernel: Kernel


def fit_operators(
    units: Sequence[Unit], ms: Sequence[float], *, prior: OpModel | None = None
) -> OperatorFit:
    """Return the operator model of measured units, `ms` each.

    With the model of another device as `prior`, the coefficients stay near its own, times one
    factor for all, as far as the measurements allow. The residual of the linear model is kept where
    it makes the error in cross-validation smaller by a quarter.

    Raises:
        MissingPackage: if scipy is not installed.
    """
    rows = np.array([_counts(unit) for unit in units], dtype=float)
    wanted = np.array(ms)
    before = None if prior is None else np.array([prior.coefficients.get(n, 0.0) for n in _NAMES])
    solution = np.array([float(f"{v:.6g}") for v in _solve(rows, wanted, before)])
    left, process = _residuals(rows, wanted, solution), None
    errors = _cross_validated(rows, wanted, before)
    if len(ms) >= MIN_UNITS:
        shapes = np.array([features(unit) for unit in units])
        likely = _Process(shapes=shapes, kernel=choose_kernel(shapes, left))
        closer = _cross_validated(rows, wanted, before, likely)
        is_better = _mean(closer) < _ENOUGH_BETTER * _mean(errors)
        process, errors = (likely, closer) if is_better else (None, errors)
    model = OpModel(
        coefficients=dict(zip(_NAMES, solution.tolist(), strict=True)),
        assumed={},
        ranges=_ranges(units),
        resolution=_resolution(units),
        residual=fit_residual(process.shapes, left, process.kernel) if process else None,
    )
    return OperatorFit(model=model, errors=errors)


def _mean(errors: Floats) -> float:
    return float(np.abs(errors).mean())


def _residuals(rows: Floats, ms: Floats, solution: Floats) -> Floats:
    """Return the logarithm of measured over linear latency."""
    return np.asarray(np.log(ms / np.maximum(rows @ solution / _NS_PER_MS, _LITTLE * ms)))


def _counts(unit: Unit) -> list[int]:
    counts = counts_of(unit)
    return [counts.get(name, 0) for name in _NAMES]


def _solve(rows: Floats, ms: Floats, before: Floats | None = None) -> Floats:
    """Return nanoseconds per count by non-negative least squares on the relative error.

    What lies `before` is a further row for each count: its part of the mean unit is to stay.
    """
    try:
        from scipy.optimize import nnls
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="fitting an operator model") from None
    scale = rows.max(axis=0)
    scale[scale == 0] = 1.0
    relative, wanted = rows / scale / ms[:, None], np.ones(len(ms))
    if before is not None:
        parts = relative * (before * scale / _NS_PER_MS)
        said = parts.sum(axis=1)
        factor = float(np.median(1 / said[said > 0])) if (said > 0).any() else 1.0
        weight = np.sqrt(_PRIOR) * relative.mean(axis=0)
        relative = np.concatenate([relative, np.diag(weight)])
        wanted = np.concatenate([wanted, weight * factor * before * scale / _NS_PER_MS])
    solution, _ = nnls(relative, wanted, maxiter=100 * len(scale))
    return np.asarray(_NS_PER_MS * solution / scale)


def _cross_validated(
    rows: Floats, ms: Floats, before: Floats | None, process: _Process | None = None
) -> Floats:
    """Return predicted over measured, minus 1, of every unit, by a fit without its fold."""
    fold = np.random.default_rng(0).permutation(len(ms)) % _FOLDS
    errors = np.zeros(len(ms))
    for number in range(_FOLDS):
        out = fold == number
        if out.any() and not out.all():
            solution = _solve(rows[~out], ms[~out], before)
            predicted = rows[out] @ solution / _NS_PER_MS
            if process:
                left = _residuals(rows[~out], ms[~out], solution)
                residual = fit_residual(process.shapes[~out], left, process.kernel)
                predicted *= residual.factor(process.shapes[out])
            errors[out] = predicted / ms[out] - 1
    return errors


def _ranges(units: Sequence[Unit]) -> Mapping[str, tuple[int, int]]:
    """Return the least and the largest value of everything that has a measured range."""
    seen: dict[str, list[int]] = {name: [] for name in EXTENTS}
    for unit in units:
        for layer in unit.layers:
            for name, value in extents(layer):
                seen[name].append(value)
    return {name: (min(values, default=0), max(values, default=0)) for name, values in seen.items()}


def _resolution(units: Sequence[Unit]) -> tuple[int, int]:
    """Return the least and the largest input of a stem, or of any unit where there is none."""
    stems = [unit.in_shape[1] for unit in units if unit.block.in_channels == 3]
    sides = stems or [unit.in_shape[1] for unit in units]
    return min(sides), max(sides)
