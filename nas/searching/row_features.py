"""Numbers by which the models of a search tell rows apart, beside their picks."""

from contextlib import suppress

import numpy as np

from nas.accuracy.picks import PicksFeatures
from nas.core.errors import NasError
from nas.core.rounding import significant
from nas.searching.problem import Floats, Metrics, Problem
from nas.space.space import Matrix, Space

_SAMPLE = 1000
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


class NetworkFeatures:
    """The features of networks by which published accuracies are predicted, standardised.

    They are how deep, wide and expanded networks are at each stride, among others, standardised
    over random rows. There are none where a space has no such networks, or they would take long.
    """

    def __init__(self, space: Space) -> None:
        """Sample `space`, which may be one of parameters, without networks."""
        self._features: PicksFeatures | None = None
        self.count = 0
        if not isinstance(space, Space):
            return
        with suppress(NasError, LookupError):
            features = PicksFeatures(space)
            if features.one_by_one:
                return
            found = features(space.sample_matrix(np.random.default_rng(0), _SAMPLE))
            self._varied = np.flatnonzero(found.std(axis=0) > _TINY)
            self._centre = found[:, self._varied].mean(axis=0)
            self._scale = found[:, self._varied].std(axis=0)
            self._features, self.count = features, len(self._varied)

    def __call__(self, rows: Matrix) -> Floats:
        """Return the features of `rows`, shape (rows, features)."""
        if self._features is None:
            return np.zeros((len(rows), 0))
        found: Floats = (self._features(rows)[:, self._varied] - self._centre) / self._scale
        return significant(found)
