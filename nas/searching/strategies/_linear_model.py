"""Ridge regressions of expensive metrics on picks and free metrics, refitted as trials come in."""

from functools import cached_property

import numpy as np

from nas.core.blas import one_blas_thread
from nas.core.rounding import significant
from nas.searching.problem import Floats, Metrics, Problem, Trials
from nas.searching.row_features import Logs, NetworkFeatures
from nas.space.space import Matrix, Space

_TINY = 1e-12
_TRIALS = 200
"""So many trials weigh those before them down once."""
_SQUARES = 0.3
"""Weight of the squares of the features of networks."""


class Features:
    """Turns rows into numbers for a linear model.

    These are: every value of a choice but the first, 1 where it is picked; products of two of them
    within a stage (and of the same layer where picks are per layer); features of the networks and
    logarithms of the free metrics, and the squares of both, as how accuracy saturates with size is
    most of what picks do not explain; 1.
    """

    def __init__(self, problem: Problem, *, most_pairs: int) -> None:
        """Prepare for `problem`; products are left out where there are more than `most_pairs`."""
        space = problem.space
        levels = [(c, v) for c, width in enumerate(space.widths) for v in range(1, width)]
        self._column = np.array([column for column, _ in levels], dtype=np.int64)
        self._value = np.array([value for _, value in levels], dtype=np.uint8)
        both = [
            (a, b)
            for a, (i, _) in enumerate(levels)
            for b, (j, _) in enumerate(levels[:a])
            if i != j and _together(space, i, j)
        ]
        both = both if len(both) <= most_pairs else []
        self._both = np.array(both, dtype=np.int64).reshape(-1, 2).T
        self._networks, self._logs = NetworkFeatures(space), Logs(problem)

    def __call__(self, rows: Matrix, known: Metrics) -> Floats:
        """Return the features of `rows`, whose free metrics are `known`, shape (n, features)."""
        single = rows.T[self._column] == self._value[:, None]
        pairs = single[self._both[0]] & single[self._both[1]]
        networks, logs = self._networks(rows).T, self._logs(known, len(rows)).T
        squares, one = (_SQUARES * networks**2, logs**2), np.ones((1, len(rows)))
        parts = (single, pairs, networks, logs, *squares, one)
        return np.concatenate(parts, dtype=np.float64).T


def _together(space: Space, i: int, j: int) -> bool:
    """Return whether two columns act on the same layers of the same stage."""
    one, other = space.columns[i], space.columns[j]
    same_layer = one.layer == other.layer or None in (one.layer, other.layer)
    return one.stage == other.stage and same_layer


class _Sums:
    """The sums that a ridge regression of one metric needs."""

    def __init__(self, size: int) -> None:
        self.products, self.targets = np.zeros((size, size)), np.zeros(size)
        self.weights: Floats = np.zeros(size)
        self.count = 0

    def add(self, features: Floats, values: Floats, forget: float) -> None:
        real = np.isfinite(values)
        features, values = features[real], values[real]
        self.products = self.products * forget + features.T @ features
        self.targets = self.targets * forget + features.T @ values
        self.count += len(values)

    def solve(self, penalty: float) -> None:
        damping = np.full(len(self.targets), penalty)
        damping[-1] = _TINY  # the last feature is the constant
        solved = np.linalg.solve(self.products + np.diag(damping), self.targets)
        self.weights = solved.astype(np.float64, copy=False)


class LinearModel:
    """Predicts every metric that objectives and constraints need; the free ones exactly."""

    def __init__(
        self, problem: Problem, *, most_pairs: int, penalty: float, forget: float = 1.0
    ) -> None:
        """Start without data; `forget` is the weight that trials keep after `_TRIALS` others."""
        self._problem, self._most_pairs = problem, most_pairs
        self._penalty, self._forget = penalty, forget
        self._sums: dict[str, _Sums] = {}
        self._stale = False

    @cached_property
    def _features(self) -> Features:
        return Features(self._problem, most_pairs=self._most_pairs)

    @one_blas_thread()
    def tell(self, trials: Trials) -> None:
        """Take in trials; values that are not finite are left out."""
        self._stale = True
        if not self._problem.learned:
            return
        features = self._features(trials.picks, self._problem.known(trials.picks))
        for name in self._problem.learned:
            if name in trials.metrics:
                sums = self._sums.setdefault(name, _Sums(features.shape[1]))
                sums.add(features, trials.metrics[name], self._forget ** (len(trials) / _TRIALS))

    @property
    def ready(self) -> bool:
        """Whether there is data on every metric."""
        return all(
            name in self._sums and self._sums[name].count > 1 for name in self._problem.learned
        )

    @one_blas_thread()
    def predict(self, rows: Matrix, known: Metrics | None = None) -> Metrics:
        """Return all metrics of `rows`, the learned ones to `significant` bits.

        `known` are their free metrics, where these are at hand.
        """
        known = self._problem.known(rows) if known is None else known
        metrics: dict[str, Floats] = dict(known)
        if self._problem.learned:
            self._fit()
            features = self._features(rows, known)
            for name in self._problem.learned:
                metrics[name] = significant(features @ self._sums[name].weights)
        return self._problem.with_reward(metrics)

    def _fit(self) -> None:
        if self._stale:
            for sums in self._sums.values():
                sums.solve(self._penalty)
        self._stale = False
