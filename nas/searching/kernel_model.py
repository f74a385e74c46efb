"""Kernel ridge regressions of the expensive metrics, quick enough to refit after every tell.

They are better than linear ones when there are few trials, and better still on features of networks
than on picks alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import numpy as np

from nas.core.blas import one_blas_thread
from nas.searching.acquisition import violation
from nas.searching.kernel_fit import Fit, Kernel, Solver
from nas.searching.problem import FAILED, Floats, Metrics, Problem, Trials
from nas.searching.row_features import Logs, NetworkFeatures
from nas.space.lookup import Embedding
from nas.space.rows import coordinates
from nas.space.space import Matrix

_STEPS = 5
_LIKELY = 0.5
_COMPARED, _CLEARLY = 300, 0.6
"""Up to so many trials, features and picks are compared; picks alone must have so much of the mean
square error that features leave."""
_FEATURES, _BESIDE_FEATURES = 2.0, 0.3
"""Weights of the features of networks, and of picks beside them."""


class _Places:
    """Turns rows into coordinates: picks by their values, features, logarithms of free metrics.

    The values of numeric choices enter by their logarithms, standardised, so that near values are
    near each other; each value of another choice is a coordinate. What is inactive is 0. Where
    networks have features, these count for more than the picks.
    """

    def __init__(self, problem: Problem) -> None:
        tables = [coordinates(column.values) for column in problem.space.columns]
        self._embedding, self._logs = Embedding(problem.space, tables), Logs(problem)
        self._networks, self.logs = NetworkFeatures(problem.space), self._logs.count
        self._weight = _BESIDE_FEATURES if self._networks.count else 1.0
        self.picks = self._embedding.count + self._networks.count
        self.count = self.picks + 2 * self.logs
        self.weights = [np.ones(self.picks)]  # of all, and of picks alone
        if self._networks.count:
            alone = np.zeros(self.picks)
            alone[: self._embedding.count] = 1 / _BESIDE_FEATURES**2
            self.weights.append(alone)

    def __call__(self, rows: Matrix, known: Metrics) -> Floats:
        """Return the coordinates of `rows`: picks, features, logarithms, squared logarithms."""
        logs, picks = self._logs(known, len(rows)), self._weight * self._embedding(rows)
        return np.concatenate([picks, _FEATURES * self._networks(rows), logs, logs**2], axis=1)


class _Kept:
    """What was found of rows, by their bytes."""

    def __init__(self, metrics: int) -> None:
        self._place: dict[bytes, int] = {}
        self._found = np.zeros((0, metrics))

    def absent(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of the keys that are not there."""
        return [i for i, key in enumerate(keys) if key not in self._place]

    def add(self, keys: Sequence[bytes], found: Floats) -> None:
        """Keep what was found, a row per key."""
        self._place |= zip(keys, range(len(self._found), len(self._found) + len(keys)), strict=True)
        self._found = np.concatenate([self._found, found])

    def __call__(self, keys: Sequence[bytes]) -> Floats:
        """Return what was found, a row per key."""
        found: Floats = self._found[[self._place[key] for key in keys]]
        return found


def _keys(rows: Matrix) -> list[bytes]:
    """Return the bytes of every row."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))
    return cast(list[bytes], whole.ravel().tolist())


class KernelModel:
    """Predicts every metric that objectives and constraints need; the free ones exactly.

    A metric is the mean of a Gaussian process whose kernel is linear in picks, features of networks
    and free metrics plus a smooth part. It does without the features where picks alone predict each
    trial from the others clearly better. The `most` latest trials count and at most a fifth more,
    which bounds the time. Trials are dropped a fifth of `most` at once, since only what is added is
    quick to fit.
    """

    def __init__(self, problem: Problem, *, most: int) -> None:
        """Start without data."""
        self._problem, self._most, self._step = problem, most, max(1, most // _STEPS)
        self._places = _Places(problem)
        self._kernels = [Kernel(w, self._places.logs) for w in self._places.weights]
        self._free = tuple(metric for each in problem.free for metric in each.provides)
        self._learned = tuple(range(len(problem.learned)))  # the columns of values; one on failures
        self._rows = np.zeros((0, self._places.count))
        self._values = np.zeros((0, len(self._learned) + 1))
        self._any_failed = False
        self._numbers = np.zeros(0, dtype=np.int64)
        self._told = 0
        self._counts = np.zeros(len(self._learned) + 1, dtype=np.int64)  # of all numbers told
        self._solvers: dict[tuple[tuple[int, ...], int], Solver] = {}
        self._best: dict[tuple[int, ...], int] = {}
        self._fits: dict[tuple[int, ...], Fit] = {}
        self._kept = _Kept(len(self._free) + len(self._learned))

    @property
    def ready(self) -> bool:
        """Whether there is data on every metric."""
        return bool((self._counts[:-1] > 1).all())

    def tell(self, trials: Trials) -> None:
        """Take in trials, their failures included; values that are not finite are left out."""
        embedded = self._places(trials.picks, self._problem.known(trials.picks))
        absent = np.full(len(trials), np.nan)
        values = [trials.metrics.get(name, absent) for name in self._problem.learned]
        failed, tried = trials.status == FAILED, np.any(np.isfinite(values), axis=0)
        values.append(np.where(failed, 1.0, np.where(tried, 0.0, np.nan)))
        self._numbers = np.append(self._numbers, np.arange(len(trials)) + self._told)
        self._told += len(trials)
        self._rows = np.concatenate([self._rows, embedded])
        self._values = np.concatenate([self._values, np.stack(values, axis=1)])
        self._counts += np.isfinite(values).sum(axis=1)
        self._forget()
        self._any_failed |= bool(failed.any())
        self._fits, self._kept = {}, _Kept(len(self._free) + len(self._learned))

    def _forget(self) -> None:
        """Drop the trials that count no longer for any metric."""
        finite = np.isfinite(self._values)
        since = finite[::-1].cumsum(axis=0)[::-1]
        counts = (finite & (since < self._most + self._step)).any(axis=1)
        self._numbers = self._numbers[counts]
        self._rows, self._values = self._rows[counts], self._values[counts]

    def predict(self, rows: Matrix, known: Metrics | None = None) -> Metrics:
        """Return all metrics of `rows`, the learned ones to `significant` bits.

        `known` are their free metrics, where these are at hand. Until the next tell, what was found
        of a row is kept.
        """
        keys = _keys(rows)
        new = self._kept.absent(keys)
        if new:
            given = {name: known[name][new] for name in self._free} if known else None
            fresh = self._found(rows[new], given or self._problem.known(rows[new]))
            self._kept.add([keys[i] for i in new], fresh)
        names = (*self._free, *self._problem.learned)
        return self._problem.with_reward(dict(zip(names, self._kept(keys).T, strict=True)))

    @one_blas_thread()
    def _found(self, rows: Matrix, known: Metrics) -> Floats:
        """Return the metrics of `rows`, the free ones first, shape (rows, metrics)."""
        free = [known[name] for name in self._free]
        learned = self._predicted(self._places(rows, known))
        return np.concatenate([np.stack(free, axis=1), learned], axis=1) if free else learned

    @one_blas_thread()
    def scores(self, rows: Matrix) -> tuple[Floats, Floats]:
        """Return the predicted scores of `rows`, and their violations of constraints.

        Where a failure is likelier than not, its probability counts as a violation.
        """
        metrics = self.predict(rows)
        violations = violation(self._problem, metrics, len(rows))
        if self._any_failed:
            columns = (len(self._learned),)
            chance = self._fitted(columns, self._places(rows, metrics))[:, 0]
            violations += np.where(chance > _LIKELY, chance, 0.0)
        return self._problem.scores(metrics), violations

    def _predicted(self, embedded: Floats) -> Floats:
        """Return the learned metrics, shape (rows, metrics); those of equal trials together."""
        together: dict[bytes, list[int]] = defaultdict(list)
        for column in self._learned:
            together[np.isfinite(self._values[:, column]).tobytes()].append(column)
        found = np.empty((len(embedded), len(self._learned)))
        for columns in together.values():
            found[:, columns] = self._fitted(tuple(columns), embedded)
        return found

    def _fitted(self, columns: tuple[int, ...], embedded: Floats) -> Floats:
        if columns not in self._fits:
            self._fits[columns] = self._fit(columns)
        return self._fits[columns](embedded)

    def _fit(self, columns: tuple[int, ...]) -> Fit:
        """Fit the metrics in some columns, which have numbers of the same trials."""
        count = int(self._counts[columns[0]])
        latest = count if count <= self._most else self._most + (count - self._most) % self._step
        real = np.flatnonzero(np.isfinite(self._values[:, columns[0]]))[-latest:]
        given = self._numbers[real], self._rows[real], self._values[real][:, list(columns)]
        if count > _COMPARED and columns in self._best:
            return self._solver(columns, self._best[columns])(*given)
        solvers = [self._solver(columns, k) for k in range(len(self._kernels))]
        fits = [solver(*given) for solver in solvers]
        errors = [one.left_out_error(fit) for one, fit in zip(solvers, fits, strict=True)]
        self._best[columns] = int(errors[-1] < _CLEARLY * errors[0])
        return fits[self._best[columns]]

    def _solver(self, columns: tuple[int, ...], kernel: int) -> Solver:
        return self._solvers.setdefault((columns, kernel), Solver(self._kernels[kernel]))
