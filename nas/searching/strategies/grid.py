"""All architectures, in an order that covers the space evenly from the start."""

from math import gcd, prod

import numpy as np

from nas.searching.problem import Problem, Trials
from nas.searching.strategies._proposals import Proposals
from nas.space.space import Matrix

_GOLDEN = 0.6180339887498949
_BLOCKS = 20


class Grid:
    """Counts through the combinations of picks in strides of the golden section of their number.

    The stride has no common divisor with the number, so that every combination comes once. Where
    the constraints leave almost nothing, it stops counting and proposes random rows.
    """

    batch = 200

    def __init__(self, problem: Problem, seed: int) -> None:
        """Start at the combination that `seed` says."""
        self._widths = [int(width) for width in problem.space.widths]
        self._total = prod(self._widths)
        stride = max(1, round(self._total * _GOLDEN))
        while gcd(stride, self._total) != 1:
            stride += 1
        self._stride, self._place, self._start = stride, 0, seed
        self._left = np.zeros((0, len(self._widths)), dtype=np.uint8)
        self._space = problem.space
        self._proposals = Proposals(problem, seed)

    def ask(self, count: int) -> Matrix:
        """Return up to `count` new rows."""
        found = self._proposals.new(self._left)
        for _ in range(_BLOCKS):
            if len(found) >= count or self._place >= self._total:
                break
            block = self._block(count - len(found))
            found = np.concatenate([found, self._proposals.feasible(block)])
            found = self._proposals.new(found)
        self._left = found[count:]
        return self._proposals.ask(self._proposals.fill(found, count, self._proposals.rng()))

    def _block(self, wanted: int) -> Matrix:
        """Return the next combinations; exact whole numbers, as there may be more than 2^64."""
        stop = min(self._total, self._place + max(2 * wanted, 64))
        rows = np.zeros((stop - self._place, len(self._widths)), dtype=np.uint8)
        for i in range(len(rows)):
            rest = (self._start + self._place + i) * self._stride % self._total
            for column, width in enumerate(self._widths):
                rest, rows[i, column] = divmod(rest, width)
        self._place = stop
        return self._space.canonical(rows)

    def tell(self, trials: Trials) -> None:
        """Remember which rows are no longer new."""
        self._proposals.tell(trials)


def create(problem: Problem, *, seed: int) -> Grid:
    """Return the strategy for one search."""
    return Grid(problem, seed)
