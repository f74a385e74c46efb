"""Local search: all neighbours of the best so far, with restarts from random architectures."""

import numpy as np

from nas.searching.problem import Problem, Trials
from nas.searching.strategies._pareto_archive import ParetoArchive
from nas.searching.strategies._proposals import Proposals
from nas.searching.strategies._variation import neighbours
from nas.space.space import Matrix

_STARTS = 10


class Local:
    """Proposes the neighbours of the climb's front, one solution after the other.

    A climb starts from a few random architectures and ends when every neighbour of its front was
    proposed; with one objective that is hill climbing, with several Pareto local search (Paquete
    et al., 2004).
    """

    batch = 50

    def __init__(self, problem: Problem, seed: int) -> None:
        """Start without a climb."""
        self._problem = problem
        self._proposals = Proposals(problem, seed)
        self._climb = self._new_climb()
        self._visited: set[bytes] = set()

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows: neighbours, or random ones to start a climb."""
        rng = self._proposals.rng()
        found = self._climb.rows[:0]
        for row in self._climb.rows[rng.permutation(len(self._climb))]:
            if row.tobytes() in self._visited:
                continue
            new = self._proposals.feasible(neighbours(self._problem.space, row))
            found = np.concatenate([found, new])
            found = self._proposals.new(found)
            if len(found) >= count:
                break
            self._visited.add(row.tobytes())
        if not len(found):
            self._climb = self._new_climb()
            found = self._proposals.random(min(count, _STARTS), rng)
        return self._proposals.ask(found[:count])

    def tell(self, trials: Trials) -> None:
        """Let trials into the front of the climb."""
        self._proposals.tell(trials)
        self._climb.tell(trials)

    def _new_climb(self) -> ParetoArchive:
        return ParetoArchive(self._problem, slack=0.0, least=1)


def create(problem: Problem, *, seed: int) -> Local:
    """Return the strategy for one search."""
    return Local(problem, seed)
