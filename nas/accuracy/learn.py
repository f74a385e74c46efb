"""Learn an accuracy model from few, noisy examples.

A Gaussian process learns from the examples; two small networks, which need only numpy, are then
fitted to its mean and its standard deviation at many rows of the space.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.accuracy.distill import distill
from nas.accuracy.examples import Examples
from nas.accuracy.gaussian import GaussianProcess, average, tune
from nas.accuracy.predictor import (
    MLP,
    Accuracy,
    AccuracyModel,
    Floats,
    HoldOut,
    Weights,
    one_hot,
)
from nas.core.progress import Report, quiet
from nas.network.cost import cost_of
from nas.network.layers import Unit
from nas.space.lookup import Embedding, Lookup
from nas.space.rows import Value, coordinates
from nas.space.sampling import covering_rows
from nas.space.space import Matrix, Space

FOLDS = 10
FEW = 30
"""Up to this number of examples, each fold has one example."""

ENOUGH = 0.99
"""The R2 that the networks must reach on the process; otherwise they are refitted for longer."""

_LABELS, _DEVIATIONS = 60_000, 6_000
_HIDDEN, _STEPS, _BATCH = (96, 64), 3_000, 256
_ATTEMPTS = 3
_TRUSTED = 20
"""The number of hold-out examples that weigh as much as the process's standard deviations."""
_TINY = 1e-9
_ONE, _TWO = 0.6827, 0.9545
"""The fractions of a normal distribution within one and two standard deviations."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model, and how closely its networks follow the Gaussian process on rows new to both.

    `distillation_r2` is the R2 of the means, `distillation_gap` their root mean square difference,
    a fraction. `widened` is the factor by which hold-out examples scale the process's standard
    deviations.
    """

    model: AccuracyModel
    distillation_r2: float
    distillation_gap: float
    widened: float


def fit_accuracy(examples: Examples, *, seed: int = 0, report: Report = quiet) -> Fitted:
    """Return a model of the accuracies of `examples`, with its errors by cross-validation.

    The model is distilled from a Gaussian process on all examples, whose hyperparameters are means
    over the folds; its standard deviations include the `distillation_gap`. The errors are those of
    processes fitted, hyperparameters included, without the fold; their standard deviations are the
    leave-one-out ones of the process on all examples. Standard deviations are scaled so that 68 and
    95 per cent of the hold-out examples lie within one and two of them; each fold is evaluated with
    the scale of the other folds.

    `report` is called with the number of steps done, their total, and the next step.
    """
    parts = _folds(len(examples), seed)
    total = len(parts) + 1
    features = Features(examples.space)
    inputs, truth = features(examples.picks), examples.accuracy
    held_out, kernels = np.empty(len(examples)), []
    for number, fold in enumerate(parts):
        report(number, total, "cross-validation")
        rest = np.setdiff1d(np.arange(len(examples)), fold)
        kernels.append(tune(inputs[rest], truth[rest], seed=seed))
        process = GaussianProcess(inputs[rest], truth[rest], kernels[-1])
        held_out[fold] = process.mean(inputs[fold])
    report(len(parts), total, "the networks")
    process = GaussianProcess(inputs, truth, average(kernels))
    figures, widened = _judge(Accuracy(held_out, process.left_out()), truth, parts)
    fitted = _shrink(examples, features, process, widened=widened, seed=seed)
    report(total, total, "")
    return replace(fitted, model=replace(fitted.model, held_out=figures))


class Features:
    """Turns rows of picks into the features of a Gaussian process.

    The features are the coordinates of the picks (see `nas.space.rows.coordinates`), an indicator
    for each value between the first and the last of a choice, and the logarithms of MACs and params
    with their squares. They are normalised over the space; inactive choices are 0 before that.
    """

    def __init__(self, space: Space) -> None:
        """Prepare for `space`."""
        self._costs = Lookup(space, _costs)
        self._picks = Embedding(space, [_table(column.values) for column in space.columns])
        sample = space.sample_matrix(np.random.default_rng(0), 1000)
        self._size = np.log(self._costs(sample)).mean(axis=0)
        raw = self._raw(sample)
        self._centre, self._scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), _TINY)

    def __call__(self, rows: Matrix) -> Floats:
        """Return the features of rows of picks, shape (rows, features)."""
        result: Floats = (self._raw(rows) - self._centre) / self._scale
        return result

    def _raw(self, rows: Matrix) -> Floats:
        logs = np.log(self._costs(rows)) - self._size
        return np.concatenate([self._picks(rows), logs, logs**2], axis=1)


def _table(values: tuple[Value, ...]) -> Floats:
    """Return the features of the values of one choice, shape (values, features)."""
    placed = coordinates(values)
    ordered = placed.shape[1] == 1
    between = np.eye(len(values))[:, 1:-1] if ordered else np.zeros((len(values), 0))
    return np.concatenate([placed, between], axis=1)


def _costs(units: Unit) -> tuple[float, ...]:
    found = cost_of(units)
    return found.macs, found.params


def _folds(count: int, seed: int) -> list[Indices]:
    """Return disjoint sets of indices: ten, or one per example if there are few."""
    order = np.random.default_rng(seed).permutation(count)
    return np.array_split(order, count if count <= FEW else FOLDS)


def _judge(predicted: Accuracy, truth: Floats, parts: list[Indices]) -> tuple[HoldOut, float]:
    """Return the errors of hold-out predictions, and the factor for standard deviations."""
    from scipy.stats import kendalltau

    error = np.abs(predicted.accuracy - truth)
    ratio = error / predicted.deviation
    within = np.empty(len(truth))
    for fold in parts:
        within[fold] = ratio[fold] / _factor(np.delete(ratio, fold))
    figures = HoldOut(
        rows=len(truth),
        tau=round(float(kendalltau(predicted.accuracy, truth).statistic), 5),
        r2=round(float(1 - np.mean(error**2) / np.var(truth)), 5),
        mae=round(float(error.mean()), 6),
        within_one=round(float(np.mean(within < 1)), 4),
        within_two=round(float(np.mean(within < 2)), 4),
    )
    return figures, _factor(ratio)


def _factor(ratio: Floats) -> float:
    """Return the factor for standard deviations: the mean of the factors for both fractions.

    With few ratios it is shrunk towards 1.
    """
    one, two = np.quantile(ratio, [_ONE, _TWO])
    return float(np.sqrt(one * two / 2) ** (len(ratio) / (len(ratio) + _TRUSTED)))


def _shrink(
    examples: Examples,
    features: Features,
    process: GaussianProcess,
    *,
    widened: float,
    seed: int,
) -> Fitted:
    """Return the model whose networks are distilled from `process`."""
    space, rng = examples.space, np.random.default_rng(seed)
    rows, fresh = (covering_rows(space, examples.picks, rng, n) for n in (_LABELS, _DEVIATIONS))
    wanted, taught = process.mean(features(rows)), process(features(fresh))
    inputs = one_hot(space, fresh)
    mean = _mean_network(one_hot(space, rows), wanted, inputs, taught.accuracy, seed=seed)
    r2, missed = _agreement(mean, inputs, taught.accuracy)
    deviation = np.hypot(widened * taught.deviation, missed)
    steps, batch = _STEPS // 2, _BATCH // 4
    spread = distill(inputs, np.log(deviation), hidden=(32,), steps=steps, batch=batch, seed=seed)
    model = AccuracyModel(
        domain=space,
        metric=examples.metric,
        source=examples.source,
        note=f"{examples.metric} is predicted by a model learned from {examples.source}",
        mean=mean,
        spread=spread,
        fitted_range=(float(examples.accuracy.min()), float(examples.accuracy.max())),
    )
    return Fitted(model=model, distillation_r2=r2, distillation_gap=missed, widened=widened)


def _mean_network(
    inputs: Weights, wanted: Floats, fresh: Weights, taught: Floats, *, seed: int
) -> MLP:
    """Return the network closest to `taught` on `fresh`, out of one or more attempts."""
    found: list[tuple[float, MLP]] = []
    for attempt in range(_ATTEMPTS):
        steps = _STEPS * 2**attempt
        network = distill(inputs, wanted, hidden=_HIDDEN, steps=steps, batch=_BATCH, seed=seed)
        found.append((_agreement(network, fresh, taught)[0], network))
        if found[-1][0] > ENOUGH:
            break
    return max(found, key=lambda pair: pair[0])[1]


def _agreement(network: MLP, inputs: Weights, taught: Floats) -> tuple[float, float]:
    """Return R2 and the root mean square error of `network` on `taught`."""
    square = float(np.mean((network(inputs).astype(float) - taught) ** 2))
    return 1 - square / float(np.var(taught)), square**0.5
