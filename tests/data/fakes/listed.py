"""A strategy for tests, which proposes all rows of a small space in a fixed order."""

import numpy as np

from nas.searching.problem import Problem, Trials
from nas.space.space import Matrix


class Listed:
    batch = 1

    def __init__(self, rows: Matrix) -> None:
        self._left = rows

    def ask(self, count: int) -> Matrix:
        asked, self._left = self._left[:count], self._left[count:]
        return asked

    def tell(self, trials: Trials) -> None: ...


def create(problem: Problem, *, seed: int) -> Listed:
    widths = tuple(problem.space.widths)
    rows = np.indices(widths, dtype=np.uint8).reshape(len(widths), -1).T
    rows = np.unique(problem.space.canonical(rows), axis=0)
    return Listed(np.random.default_rng(seed).permutation(rows))
