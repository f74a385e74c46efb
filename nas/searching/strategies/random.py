"""Uniformly random architectures that satisfy the free constraints, none twice."""

from nas.searching.problem import Problem, Trials
from nas.searching.strategies._fresh import Fresh
from nas.searching.strategies._progress import SearchProgress
from nas.space.space import Matrix


class Random:
    """Draws every choice uniformly over its values."""

    batch = 1000

    def __init__(self, problem: Problem, seed: int) -> None:
        """Start with nothing proposed."""
        self._progress = SearchProgress(problem.space, seed)
        self._fresh = Fresh(problem, self._progress)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows."""
        return self._progress.ask(self._fresh.draw(count, self._progress.rng()))

    def tell(self, trials: Trials) -> None:
        """Remember which rows are no longer new."""
        self._progress.tell(trials)


def create(problem: Problem, *, seed: int) -> Random:
    """Return the strategy for one search."""
    return Random(problem, seed)
