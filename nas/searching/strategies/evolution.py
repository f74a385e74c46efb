"""Regularised evolution: tournaments in an ageing population (Real et al., 2019)."""

import numpy as np

from nas.searching.pareto import ranks
from nas.searching.problem import Floats, Problem, Trials
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._settings import check_counts
from nas.searching.strategies._variation import mutate
from nas.space.space import Matrix

_TRIES = 4


class Evolution:
    """Changes one pick of the winner of every tournament; the oldest trials leave.

    With several objectives the winner is drawn among those that no other of the tournament
    dominates. Infeasible and failed trials do not enter the population.
    """

    def __init__(self, problem: Problem, seed: int, *, population: int, tournament: int) -> None:
        """Start with an empty population."""
        self.batch = max(1, population // 4)
        self._problem, self._size, self._tournament = problem, population, tournament
        self._proposals = Proposals(problem, seed)
        self._rows: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)
        self._scores: Floats = np.zeros((0, len(problem.objectives)))

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows: random ones until the population is complete."""
        rng = self._proposals.rng()
        if len(self._rows) < self._size and self._proposals.count < 4 * self._size:
            return self._proposals.ask(self._proposals.random(count, rng))
        found = self._rows[:0]
        for _ in range(_TRIES if len(self._rows) else 0):
            parents = self._rows[self._winners(2 * (count - len(found)) + 8, rng)]
            children = self._proposals.feasible(mutate(self._problem.space, parents, 1, rng))
            found = np.concatenate([found, children])
            found = self._proposals.new(found)[:count]
            if len(found) == count:
                break
        return self._proposals.ask(self._proposals.fill(found, count, rng))

    def _winners(self, count: int, rng: np.random.Generator) -> list[int]:
        rank = ranks(self._scores)
        drawn = rng.integers(0, len(rank), (count, self._tournament))
        best = rank[drawn].argmin(axis=1)  # the first drawn of the best rank: drawn at random
        winners: list[int] = drawn[np.arange(count), best].tolist()
        return winners

    def tell(self, trials: Trials) -> None:
        """Let good trials in, and as many of the oldest go."""
        self._proposals.tell(trials)
        ok = trials.ok
        scores = self._problem.scores(trials.metrics)[ok]
        self._rows = np.concatenate([self._rows, trials.picks[ok]])[-self._size :]
        self._scores = np.concatenate([self._scores, scores])[-self._size :]


def create(problem: Problem, *, seed: int, population: int = 64, tournament: int = 16) -> Evolution:
    """Return the strategy for one search.

    Raises:
        NasError: if `population` or `tournament` is below 1.
    """
    check_counts("evolution", population=population, tournament=tournament)
    return Evolution(problem, seed, population=population, tournament=tournament)
