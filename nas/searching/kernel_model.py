"""Kernel ridge regressions of the expensive metrics, quick enough to refit after every tell.

They are better than linear ones when there are few trials.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from nas.core.blas import one_blas_thread
from nas.core.rounding import significant
from nas.searching.acquisition import violation
from nas.searching.problem import FAILED, Floats, Metrics, Problem, Trials
from nas.space.lookup import embed
from nas.space.rows import coordinates
from nas.space.space import Matrix

_LINEAR_PICKS, _LINEAR_LOGS = 0.1, 1.0
"""Weights of picks and of the logarithms of free metrics (with squares) in the linear part."""
_SMOOTH_LOGS = 1.0
"""Weight of the logarithms beside the picks in the squared distance of the smooth part."""
_LENGTH = 8.0
_NOISE = 1e-3
_SAMPLE = 1000
_LIKELY = 0.5
_TINY = 1e-12


class Logs:
    """The logarithms of the free metrics, standardised over random rows."""

    def __init__(self, problem: Problem) -> None:
        """Sample the space of `problem`."""
        sample = problem.space.sample_matrix(np.random.default_rng(0), _SAMPLE)
        known = problem.known(sample)
        self._names, self.count = tuple(known), len(known)
        logs = self._raw(known, len(sample))
        self._centre, self._scale = logs.mean(axis=0), np.maximum(logs.std(axis=0), _TINY)

    def __call__(self, known: Metrics, count: int) -> Floats:
        """Return them for the free metrics of `count` rows, shape (count, metrics)."""
        logs: Floats = (self._raw(known, count) - self._centre) / self._scale
        return logs

    def _raw(self, known: Metrics, count: int) -> Floats:
        columns = [np.log(np.maximum(known[name], _TINY)) for name in self._names]
        return significant(np.stack(columns, axis=1)) if columns else np.zeros((count, 0))


class _Places:
    """Turns rows into coordinates: picks by their values, and logarithms of free metrics.

    The values of numeric choices enter by their logarithms, standardised, so that near values are
    near each other; each value of another choice is a coordinate. What is inactive is 0.
    """

    def __init__(self, problem: Problem) -> None:
        self._space, self._logs = problem.space, Logs(problem)
        self._tables = [coordinates(column.values) for column in problem.space.columns]
        self.picks, self.logs = sum(table.shape[1] for table in self._tables), self._logs.count
        self.count = self.picks + 2 * self.logs

    def __call__(self, rows: Matrix, known: Metrics) -> Floats:
        """Return the coordinates of `rows`: picks, logarithms, squared logarithms."""
        logs = self._logs(known, len(rows))
        picks = embed(self._space, rows, self._tables)
        return np.concatenate([picks, logs, logs**2], axis=1)


class _Kernel:
    """A linear kernel plus a Gaussian one, on coordinates."""

    def __init__(self, picks: int, logs: int) -> None:
        """Weigh the coordinates of picks, logarithms and squares; the last are linear alone."""
        linear = [np.full(picks, _LINEAR_PICKS), np.full(2 * logs, _LINEAR_LOGS)]
        self._linear = np.concatenate(linear)
        self._smooth = np.concatenate([np.ones(picks), np.full(logs, _SMOOTH_LOGS)]) / _LENGTH**2

    def __call__(self, some: Floats, others: Floats) -> Floats:
        """Return the kernel of all pairs, shape (len(some), len(others))."""
        result: Floats = self._gaussian(some, others) + (some * self._linear) @ others.T
        return result

    def times(self, some: Floats, others: Floats, weights: Floats) -> Floats:
        """Return the kernel of all pairs times `weights`, shape (len(some), columns)."""
        linear: Floats = (some * self._linear) @ (others.T @ weights)
        return self._gaussian(some, others) @ weights + linear

    def _gaussian(self, some: Floats, others: Floats) -> Floats:
        some, others = some[:, : len(self._smooth)], others[:, : len(self._smooth)]
        smooth: Floats = (some * self._smooth) @ others.T
        smooth -= ((some * some) @ self._smooth / 2)[:, None]
        smooth -= (others * others) @ self._smooth / 2
        return np.exp(smooth, out=smooth)


@dataclass(frozen=True, slots=True)
class _Fit:
    """What is fitted to some metrics of the same trials: a column of weights for each."""

    support: Floats
    weights: Floats
    mean: Floats
    scale: Floats


class KernelModel:
    """Predicts every metric that objectives and constraints need; the free ones exactly.

    A metric is the mean of a Gaussian process whose kernel is linear in picks and free metrics plus
    a smooth part. At most the `most` latest trials count, which bounds the time.
    """

    def __init__(self, problem: Problem, *, most: int) -> None:
        """Start without data."""
        self._problem, self._most = problem, most
        self._places = _Places(problem)
        self._kernel = _Kernel(self._places.picks, self._places.logs)
        self._free = tuple(metric for each in problem.free for metric in each.provides)
        self._learned = tuple(range(len(problem.learned)))  # the columns of values; one on failures
        self._rows = np.zeros((0, self._places.count))
        self._values = np.zeros((0, len(self._learned) + 1))
        self._any_failed = False
        self._fits: dict[tuple[int, ...], _Fit] = {}
        self._kept: dict[bytes, Floats] = {}

    @property
    def ready(self) -> bool:
        """Whether there is data on every metric."""
        counts = np.isfinite(self._values).sum(axis=0)
        return bool((counts[list(self._learned)] > 1).all())

    def tell(self, trials: Trials) -> None:
        """Take in trials, their failures included; values that are not finite are left out."""
        embedded = self._places(trials.picks, self._problem.known(trials.picks))
        absent = np.full(len(trials), np.nan)
        values = [trials.metrics.get(name, absent) for name in self._problem.learned]
        failed, tried = trials.status == FAILED, np.any(np.isfinite(values), axis=0)
        values.append(np.where(failed, 1.0, np.where(tried, 0.0, np.nan)))
        self._rows = np.concatenate([self._rows, embedded])
        self._values = np.concatenate([self._values, np.stack(values, axis=1)])
        self._forget()
        self._any_failed |= bool(failed.any())
        self._fits, self._kept = {}, {}

    def _forget(self) -> None:
        """Drop the trials that count no longer for any metric."""
        finite = np.isfinite(self._values)
        since = finite[::-1].cumsum(axis=0)[::-1]
        counts = (finite & (since <= self._most)).any(axis=1)
        self._rows, self._values = self._rows[counts], self._values[counts]

    def predict(self, rows: Matrix, known: Metrics | None = None) -> Metrics:
        """Return all metrics of `rows`, the learned ones to `significant` bits.

        `known` are their free metrics, where these are at hand. Until the next tell, what was found
        of a row is kept.
        """
        keys = [row.tobytes() for row in rows]
        new = [i for i, key in enumerate(keys) if key not in self._kept]
        if new:
            given = {name: known[name][new] for name in self._free} if known else None
            fresh = self._found(rows[new], given or self._problem.known(rows[new]))
            self._kept |= zip((keys[i] for i in new), fresh, strict=True)
        names = (*self._free, *self._problem.learned)
        found = np.array([self._kept[key] for key in keys]).reshape(len(rows), len(names))
        return self._problem.with_reward(dict(zip(names, found.T, strict=True)))

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
        fit = self._fits[columns]
        worth = self._kernel.times(embedded, fit.support, fit.weights)
        return significant(worth * fit.scale + fit.mean)

    def _fit(self, columns: tuple[int, ...]) -> _Fit:
        """Fit the metrics in some columns, which have numbers of the same trials."""
        real = np.flatnonzero(np.isfinite(self._values[:, columns[0]]))[-self._most :]
        rows, values = self._rows[real], self._values[real][:, list(columns)]
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale[scale == 0] = 1.0
        gram = self._kernel(rows, rows)
        gram[np.diag_indices(len(gram))] += _NOISE
        weights: Floats = np.linalg.solve(gram, (values - mean) / scale).astype(float, copy=False)
        return _Fit(rows, weights, mean, scale)
