"""Kernel ridge regressions of the expensive metrics, quick enough to refit after every tell.

They are better than linear ones when there are few trials.
"""

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

    def __call__(self, rows: Matrix, known: Metrics) -> Floats:
        """Return the coordinates of `rows`: picks, logarithms, squared logarithms."""
        logs = self._logs(known, len(rows))
        picks = embed(self._space, rows, self._tables)
        return np.concatenate([picks, logs, logs**2], axis=1)


class _Kernel:
    """A linear kernel plus a Gaussian one, on coordinates."""

    def __init__(self, picks: int, logs: int) -> None:
        """Weigh the coordinates of picks, logarithms and squares."""
        linear = [np.full(picks, _LINEAR_PICKS), np.full(2 * logs, _LINEAR_LOGS)]
        self._linear = np.concatenate(linear)
        smooth = [np.ones(picks), np.full(logs, _SMOOTH_LOGS), np.zeros(logs)]
        self._smooth = np.concatenate(smooth) / _LENGTH**2

    def __call__(self, some: Floats, others: Floats) -> Floats:
        """Return the kernel of all pairs, shape (len(some), len(others))."""
        smooth = (some * self._smooth) @ others.T
        smooth -= ((some * some) @ self._smooth / 2)[:, None]
        smooth -= (others * others) @ self._smooth / 2
        result: Floats = np.exp(smooth)
        result += (some * self._linear) @ others.T
        return result


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
        self._told: list[tuple[Floats, Metrics]] = []
        self._any_failed = False
        self._fits: dict[str, tuple[Floats, Floats, float, float]] = {}

    @property
    def ready(self) -> bool:
        """Whether there is data on every metric."""
        return all(self._known(name)[1].size > 1 for name in self._problem.learned)

    def tell(self, trials: Trials) -> None:
        """Take in trials, their failures included; values that are not finite are left out."""
        embedded = self._places(trials.picks, self._problem.known(trials.picks))
        failed = trials.status == FAILED
        tried = [
            np.isfinite(trials.metrics[n]) for n in self._problem.learned if n in trials.metrics
        ]
        outcome = np.where(failed, 1.0, np.where(np.any(tried, axis=0), 0.0, np.nan))
        self._told.append((embedded, {**trials.metrics, FAILED: outcome}))
        self._any_failed |= bool(failed.any())
        self._fits = {}

    @one_blas_thread()
    def predict(self, rows: Matrix, known: Metrics) -> Metrics:
        """Return the metrics of `rows`, whose free metrics are `known`, `significant` bits each."""
        embedded = self._places(rows, known)
        found = {name: self._predicted(name, embedded) for name in self._problem.learned}
        return self._problem.with_reward({**known, **found})

    @one_blas_thread()
    def scores(self, rows: Matrix) -> tuple[Floats, Floats]:
        """Return the predicted scores of `rows`, and their violations of constraints.

        Where a failure is likelier than not, its probability counts as a violation.
        """
        known = self._problem.known(rows)
        metrics = self.predict(rows, known)
        violations = violation(self._problem, metrics, len(rows))
        if self._any_failed:
            chance = self._predicted(FAILED, self._places(rows, known))
            violations += np.where(chance > _LIKELY, chance, 0.0)
        return self._problem.scores(metrics), violations

    def _predicted(self, name: str, embedded: Floats) -> Floats:
        if name not in self._fits:
            self._fits[name] = self._fit(*self._known(name))
        support, weights, mean, scale = self._fits[name]
        return significant(self._kernel(embedded, support) @ weights * scale + mean)

    def _known(self, name: str) -> tuple[Floats, Floats]:
        told = [(x, metrics[name]) for x, metrics in self._told if name in metrics]
        if not told:
            return np.zeros((0, 0), dtype=float), np.zeros(0)
        embedded, values = (np.concatenate(part) for part in zip(*told, strict=True))
        real = np.flatnonzero(np.isfinite(values))[-self._most :]
        return embedded[real], values[real]

    def _fit(self, embedded: Floats, values: Floats) -> tuple[Floats, Floats, float, float]:
        mean, scale = float(values.mean()), float(values.std()) or 1.0
        gram = self._kernel(embedded, embedded)
        gram[np.diag_indices(len(gram))] += _NOISE
        weights: Floats = np.linalg.solve(gram, (values - mean) / scale).astype(float, copy=False)
        return embedded, weights, mean, scale
