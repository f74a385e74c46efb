"""Simulated annealing: one candidate walks, and takes a worse step the less often the later it is.

    nas search --strategy my_plugins.annealing:cooling=0.02

It minimises the sum of the objectives, each divided by the spread that was seen so far. Proposals
are steps from where the walk stands, and what is told decides where that is.
"""

import numpy as np

from nas.searching.problem import Problem, Trials
from nas.space.space import Matrix


class Annealing:
    """The walk: where it stands, how warm it is, and what was seen."""

    batch = 4

    def __init__(self, problem: Problem, *, seed: int, cooling: float) -> None:
        """Stand nowhere yet."""
        self._problem, self._cooling = problem, cooling
        self._rng = np.random.default_rng(seed)
        self._here: Matrix | None = None
        self._energy = np.inf
        self._temperature = 1.0
        self._scores = np.zeros((0, len(problem.objectives)))

    def ask(self, count: int) -> Matrix:
        """Return `count` steps from where the walk stands, random rows before."""
        space = self._problem.space
        rows = space.sample_matrix(self._rng, count)
        if self._here is not None:
            stays = self._rng.random(rows.shape) > 2 / rows.shape[1]  # two choices change
            rows = space.canonical(np.where(stays, self._here, rows))
        return rows

    def tell(self, trials: Trials) -> None:
        """Take each step that is better, or not too much worse for the temperature."""
        scores = self._problem.scores(trials.metrics)
        good = trials.ok & np.isfinite(scores).all(axis=1)
        self._scores = np.concatenate([self._scores, scores[good]])
        for row, score in zip(trials.picks[good], scores[good], strict=True):
            spread = np.ptp(self._scores, axis=0)
            energy = float((score / np.where(spread > 0, spread, 1.0)).sum())
            if np.log(self._rng.random()) < (self._energy - energy) / self._temperature:
                self._here, self._energy = row, energy
            self._temperature *= 1 - self._cooling


def create(problem: Problem, *, seed: int, cooling: float = 0.02) -> Annealing:
    """Return the strategy for one search."""
    return Annealing(problem, seed=seed, cooling=cooling)
