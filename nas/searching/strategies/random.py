"""Uniformly random architectures that satisfy the free constraints, none twice."""

from nas.searching.problem import Problem, Trials
from nas.searching.strategies._proposals import Proposals
from nas.space.space import Matrix


class Random:
    """Draws every choice uniformly over its values."""

    batch = 1000

    def __init__(self, problem: Problem, seed: int) -> None:
        """Start with nothing proposed."""
        self._proposals = Proposals(problem, seed)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows."""
        return self._proposals.ask(self._proposals.random(count, self._proposals.rng()))

    def tell(self, trials: Trials) -> None:
        """Remember which rows are no longer new."""
        self._proposals.tell(trials)


def create(problem: Problem, *, seed: int) -> Random:
    """Return the strategy for one search."""
    return Random(problem, seed)
