"""Accurate, slow models that label architectures for the small bundled ones."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from experiments.shared.networks import Networks, Recipe
from experiments.shared.processes import GaussianProcess
from experiments.shared.rows import Rows, folds, rich_features
from nas.accuracy.predictor import Accuracy, Floats, one_hot
from nas.space.space import Matrix

CEILINGS = {"mnasnet_b0": 0.75, "mobilenetv3": 0.92}
"""Accuracy saturates: effects add up better in -log(ceiling - top1) than in top1 itself. A ceiling
must be above all accuracies; how far matters little."""

MLPS = Recipe(hidden=(64, 64), members=8, epochs=25, batch=32, decay=0.3)
ONE_HOT_MLPS = Recipe(
    hidden=(128, 128), members=32, epochs=40, batch=128, rate=4e-3, decay=0.06,
    activation="gelu", gain=2.0,
)  # fmt: skip
"""Each overfits the rows in its own way, so the average needs many."""
SHARE = 0.6
"""The weight of the Gaussian process in the average with the networks."""


class ProcessTeacher:
    """A Gaussian process and networks on rich features, averaged: for measured accuracies."""

    def __init__(self, rows: Rows, seed: int) -> None:
        """Fit both to `rows`."""
        self._features = rich_features(rows.space)
        self._ceiling = CEILINGS[rows.space.name]
        inputs, targets = self._features(rows.matrix), -np.log(self._ceiling - rows.top1)
        self._process = GaussianProcess(inputs, targets, seed)
        self._networks = Networks(MLPS, inputs, targets, seed)

    def mean(self, matrix: Matrix) -> Floats:
        """Return the accuracies of picks."""
        inputs = self._features(matrix)
        networks = self._networks(inputs).mean(axis=0)
        headroom = SHARE * self._process.mean(inputs) + (1 - SHARE) * networks
        return self._ceiling - np.asarray(np.exp(-headroom))

    def __call__(self, matrix: Matrix) -> Accuracy:
        """Return the accuracies of picks with the deviation of a new measurement."""
        top1 = self.mean(matrix)
        return Accuracy(
            top1, (self._ceiling - top1) * self._process.deviation(self._features(matrix))
        )


class NetworksTeacher:
    """Networks on one-hot picks, for accuracies without noise.

    The deviation grows with the disagreement of the members, by factors fitted to a tenth of the
    rows, with a quarter of the members fitted to the others.
    """

    def __init__(self, rows: Rows, seed: int) -> None:
        """Fit them to `rows`."""
        self._space = rows.space
        tenth = folds(rows, 10, seed)[0]
        rest = np.setdiff1d(np.arange(len(rows.top1)), tenth)
        few = replace(ONE_HOT_MLPS, members=ONE_HOT_MLPS.members // 4)
        self._networks = _one_hot_networks(few, rows.take(rest), seed)
        members = self._members(rows.matrix[tenth])
        error = members.mean(axis=0) - rows.top1[tenth]
        self._floor, self._factor = _spread_line(members.std(axis=0, ddof=1), error)
        self._networks = _one_hot_networks(ONE_HOT_MLPS, rows, seed)

    def mean(self, matrix: Matrix) -> Floats:
        """Return the accuracies of picks."""
        return np.asarray(self._members(matrix).mean(axis=0))

    def __call__(self, matrix: Matrix) -> Accuracy:
        """Return the accuracies of picks with their deviations."""
        members = self._members(matrix)
        deviation = np.sqrt(self._floor + self._factor * members.var(axis=0, ddof=1))
        return Accuracy(members.mean(axis=0), deviation)

    def _members(self, matrix: Matrix) -> Floats:
        return self._networks(one_hot(self._space, matrix))


def _one_hot_networks(recipe: Recipe, rows: Rows, seed: int) -> Networks:
    return Networks(recipe, one_hot(rows.space, rows.matrix), rows.top1, seed)


def _spread_line(disagreement: Floats, error: Floats) -> tuple[float, float]:
    """Return (a, b) such that error**2 is about a + b * disagreement**2, neither negative."""
    from scipy.optimize import nnls

    table = np.stack([np.ones(len(error)), disagreement**2], axis=1)
    weight = 1 / (disagreement**2 + np.median(disagreement) ** 2)
    (a, b), _ = nnls(table * weight[:, None], error**2 * weight)
    return float(a), float(b)


Teacher = ProcessTeacher | NetworksTeacher
TEACHERS: Mapping[str, type[Teacher]] = {
    "mnasnet_b0": ProcessTeacher,
    "mobilenetv3": NetworksTeacher,
}
