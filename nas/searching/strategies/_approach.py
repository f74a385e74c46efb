"""Children of the trials that come nearest to the constraints, while none satisfies them."""

import numpy as np

from nas.searching.acquisition import violation
from nas.searching.problem import INFEASIBLE, Floats, Problem, Trials
from nas.searching.strategies._offspring import MetricModel
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._variation import crossover, mutate
from nas.space.space import Matrix

_PARENTS = 30


class Approach:
    """Keeps the trials with the least violations, and breeds from these.

    Of `siblings` times as many children those are returned that are predicted to violate the
    constraints least.
    """

    def __init__(self, problem: Problem, *, siblings: int, mutations: int) -> None:
        """Start without trials; children have 1 to `mutations` changed picks."""
        self._problem, self._siblings, self._mutations = problem, siblings, mutations
        self._rows: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)
        self._violations: Floats = np.zeros(0)

    def tell(self, trials: Trials) -> None:
        """Take in the trials that violate a constraint."""
        near = trials.status == INFEASIBLE
        violations = violation(self._problem, trials.metrics, len(trials))[near]
        self._rows = np.concatenate([self._rows, trials.picks[near]])
        self._violations = np.concatenate([self._violations, violations])
        best = np.argsort(self._violations, kind="stable")[:_PARENTS]
        self._rows, self._violations = self._rows[best], self._violations[best]

    def __call__(
        self, model: MetricModel, *, count: int, proposals: Proposals, rng: np.random.Generator
    ) -> Matrix:
        """Return up to `count` new rows that satisfy the free constraints."""
        if not len(self._rows) or not model.ready:
            return proposals.random(count, rng)
        parents, others = rng.integers(0, len(self._rows), (2, count * self._siblings))
        mixed = crossover(self._rows[parents], self._rows[others], rng)
        children = mutate(self._problem.space, mixed, self._mutations, rng)
        children = proposals.feasible(children)
        predicted = violation(self._problem, model.predict(children), len(children))
        best = np.argsort(predicted, kind="stable")[:count]
        return proposals.fill(children[best], count, rng)
