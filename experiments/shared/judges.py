"""Models that did not guide a search: of another kind than the guide, and fitted on other rows.

A search exploits the errors of the model that guides it, so the accuracy of what it finds is judged
by models that it could not see:

    guide_rows, judge_rows = halves(read_rows(folder, "mnasnet_b0"), seed=0)
    guide = fit_guide(guide_rows)            # an AccuracyModel: search with it
    for name, judge in fit_judges(judge_rows).items():
        judge(matrix)                        # the verdict on what the search found
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from experiments.shared.fitting import PLANS, cross_validate, finished, fit_model
from experiments.shared.rows import SCALES, Rows, figures, folds, rich_features
from experiments.shared.teachers import CEILINGS
from nas.accuracy.predictor import Accuracy, AccuracyModel, Floats, Scale, one_hot
from nas.space.space import Matrix

Predict = Callable[[Matrix], Floats]
Fit = Callable[[Rows, int], Predict]

STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model, and its Kendall tau-b on a tenth of its rows that a trial fit had not seen."""

    predict: Predict
    tau_b: float

    def __call__(self, matrix: Matrix) -> Floats:
        """Return the accuracies of picks, fractions on the reported scale, as the guide's are."""
        return self.predict(matrix)


def halves(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return two random halves; no architecture is in both."""
    one, other = folds(rows, 2, seed)
    return rows.take(one), rows.take(other)


def fit_guide(rows: Rows, seed: int = 0) -> AccuracyModel:
    """Return a model made as the shipped one is, but from `rows` alone."""
    plan = PLANS[rows.space.name]
    judged = cross_validate(plan, rows, count=1, seed=seed)
    model, _ = fit_model(plan, rows, seed)
    return finished(model, judged["model"], judged["rows"])


def fit_judges(rows: Rows, seed: int = 0) -> Mapping[str, Judge]:
    """Return boosted trees on rich features and a ridge on pairs of choices, both on all `rows`."""
    tenth = folds(rows, 10, seed)[0]
    rest = rows.take(np.setdiff1d(np.arange(len(rows.top1)), tenth))
    scale = SCALES[rows.space.name]
    judges = {}
    for name, plain in (("boosted trees", _boosted_trees), ("ridge on pairs", _ridge)):
        fit = _saturating(plain)
        trial = Accuracy(fit(rest, seed)(rows.matrix[tenth]), np.zeros(len(tenth)))
        tau_b = figures(trial, rows.top1[tenth])["tau"]
        judges[name] = Judge(predict=_scaled(fit(rows, seed), scale), tau_b=tau_b)
    return judges


def _scaled(predict: Predict, scale: Scale) -> Predict:
    return lambda matrix: scale.intercept + scale.slope * predict(matrix)


def _saturating(fit: Fit) -> Fit:
    """Return `fit` on -log(ceiling - top1), in which effects add up better."""

    def fit_headroom(rows: Rows, seed: int) -> Predict:
        ceiling = CEILINGS[rows.space.name]
        predict = fit(rows._replace(top1=-np.log(ceiling - rows.top1)), seed)
        return lambda matrix: ceiling - np.exp(-predict(matrix))

    return fit_headroom


def _boosted_trees(rows: Rows, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features = rich_features(rows.space)
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=600,
        max_leaf_nodes=8,
        min_samples_leaf=10,
        l2_regularization=1.0,
        max_features=0.3,
        random_state=seed,
    )
    trees.fit(features(rows.matrix), rows.top1)
    return lambda matrix: np.asarray(trees.predict(features(matrix)))


def _ridge(rows: Rows, seed: int) -> Predict:
    """Return a ridge whose strength is the best of a few on a fifth of the rows."""
    features = _pair_features(rows)
    inputs, targets = features(rows.matrix), rows.top1
    fifth = folds(rows, 5, seed + 1)[0]
    rest = np.setdiff1d(np.arange(len(targets)), fifth)
    shift = targets[rest].mean()
    gram, right = _normal_equations(inputs[rest], targets[rest] - shift)

    def error(strength: float) -> float:
        weight = _solved(gram, right, strength)
        return float(np.mean((inputs[fifth] @ weight + shift - targets[fifth]) ** 2))

    best = min(STRENGTHS, key=error)
    mean = targets.mean()
    weight = _solved(*_normal_equations(inputs, targets - mean), best)
    return lambda matrix: np.asarray(features(matrix) @ weight + mean)


def _pair_features(rows: Rows) -> Predict:
    """Return the function from picks to standardised rich features, choices, and their pairs."""
    rich = rich_features(rows.space)

    def raw(matrix: Matrix) -> Floats:
        hot = one_hot(rows.space, matrix)
        left, right = np.triu_indices(hot.shape[1], 1)
        apart = column[left] != column[right]  # two values of one choice never meet
        return np.concatenate([rich(matrix), hot, hot[:, left[apart]] * hot[:, right[apart]]], 1)

    column = np.repeat(np.arange(len(rows.space.widths)), rows.space.widths)
    inputs = raw(rows.matrix)
    shift, spread = inputs.mean(axis=0), inputs.std(axis=0)
    seen = spread > 1e-9
    return lambda matrix: (raw(matrix)[:, seen] - shift[seen]) / spread[seen]


def _normal_equations(inputs: Floats, targets: Floats) -> tuple[Floats, Floats]:
    return inputs.T @ inputs, inputs.T @ targets


def _solved(gram: Floats, right: Floats, strength: float) -> Floats:
    from scipy.linalg import solve

    return np.asarray(solve(gram + strength * np.eye(len(gram)), right, assume_a="pos"))
