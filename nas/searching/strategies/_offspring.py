"""Children of the best trials so far, screened by a model of the expensive metrics."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.searching.acquisition import violation
from nas.searching.problem import Floats, Metrics, Problem
from nas.searching.strategies._pareto_archive import ParetoArchive, spread
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._variation import crossover, mutate
from nas.space.space import Matrix

_NEAR, _FAR = 3, 6
"""Ranks in the archive between siblings' parents, and between the two parents of a child."""
_MIXED = 0.7
"""The share of children with two parents."""

_ROUNDS = 4


class MetricModel(Protocol):
    """A model of all metrics."""

    @property
    def ready(self) -> bool:
        """Whether it has enough data to predict."""

    def predict(self, rows: Matrix, known: Metrics | None = None) -> Metrics:
        """Return all metrics of `rows`; `known` are the free ones, where these are at hand."""


class OffspringSampler:
    """Breeds from an archive.

    Parents are spread over the objectives. Most children take picks from a second, near parent; all
    are mutated. Of `siblings` children with near parents the one that is predicted to
    be furthest ahead of the front is kept; a prediction is corrected by the model's error on the
    parent.
    """

    def __init__(self, problem: Problem, *, siblings: int, mutations: int) -> None:
        """Breed for `problem`, with 1 to `mutations` changed picks in every child."""
        self._problem, self._siblings, self._mutations = problem, siblings, mutations

    def __call__(
        self,
        archive: ParetoArchive,
        model: MetricModel,
        *,
        count: int,
        proposals: Proposals,
        rng: np.random.Generator,
    ) -> Matrix:
        """Return up to `count` new children that satisfy the free constraints, none twice."""
        found = archive.rows[:0]
        errors = self._errors(archive, model) if model.ready else None
        for _ in range(_ROUNDS):
            groups = count - len(found) + 8
            children, parents = self._children(archive, groups, rng)
            known = self._problem.known(children)
            allowed = self._problem.satisfies(known, len(children)) & proposals.unseen(children)
            worth = np.where(allowed, 0.0, -np.inf)
            if errors is not None:
                at = np.flatnonzero(allowed)
                free = {name: values[at] for name, values in known.items()}
                expected = errors[parents[at]]
                worth[at] = self._worth(archive, model, children[at], free, expected)
            best = worth.reshape(-1, groups).argmax(axis=0) * groups + np.arange(groups)
            found = np.concatenate([found, children[best[worth[best] > -np.inf]]])
            found = proposals.new(found)[:count]
            if len(found) == count:
                break
        return found

    def _children(
        self, archive: ParetoArchive, groups: int, rng: np.random.Generator
    ) -> tuple[Matrix, NDArray[np.int64]]:
        """Return the children, sibling by sibling of all groups, and their first parents."""
        radii = (_NEAR,) * self._siblings + (_FAR,) * self._siblings
        parents, others = spread(archive.scores, groups, radii, rng).reshape(2, -1)
        others = np.where(rng.random(len(others)) < _MIXED, others, parents)
        mixed = crossover(archive.rows[parents], archive.rows[others], rng)
        return mutate(self._problem.space, mixed, self._mutations, rng), parents

    def _errors(self, archive: ParetoArchive, model: MetricModel) -> Floats:
        """Return by how much the scores of the archive are larger than predicted."""
        return archive.scores - self._problem.scores(model.predict(archive.rows))

    def _worth(
        self,
        archive: ParetoArchive,
        model: MetricModel,
        children: Matrix,
        known: Metrics,
        errors: Floats,
    ) -> Floats:
        """Return how promising every child is; `errors` are those of the model on its parent.

        Those that are predicted to violate a constraint come behind all others.
        """
        metrics = model.predict(children, known)
        worth = archive.improvement(self._problem.scores(metrics) + errors)
        worth = np.where(np.isnan(worth), -np.inf, worth)
        violations = violation(self._problem, metrics, len(children))
        least = worth.min(initial=0.0, where=np.isfinite(worth))
        return np.where(violations > 0, least - violations, worth)
