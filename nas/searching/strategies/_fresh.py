"""New rows that satisfy the constraints on metrics that cost nothing."""

from functools import cached_property

import numpy as np

from nas.searching.acquisition import violation
from nas.searching.problem import Floats, Problem
from nas.searching.strategies._progress import SearchProgress
from nas.searching.strategies._vary import everything, mutate
from nas.space.space import Matrix

_ROUNDS = 12
_SAMPLE = 512
_PARENTS = 64


class Fresh:
    """A source of rows that were neither asked nor told."""

    def __init__(self, problem: Problem, progress: SearchProgress) -> None:
        """Draw from the space of `problem`; `progress` knows which rows are new."""
        self._problem, self._progress = problem, progress
        self._found = False

    def pick(self, rows: Matrix) -> Matrix:
        """Return those of `rows` that are new and satisfy the free constraints, each once."""
        rows = rows[self._progress.new(rows)]
        return rows[self._problem.satisfies(self._problem.known(rows), len(rows))]

    def fill(self, rows: Matrix, count: int, rng: np.random.Generator) -> Matrix:
        """Return the first `count` of `rows`, which are new; filled up with random ones."""
        self._found = self._found or len(rows) > 0
        if len(rows) >= count:
            return rows[:count]
        rows = np.concatenate([rows, self.draw(count, rng)])
        return rows[self._progress.new(rows)][:count]

    def draw(self, count: int, rng: np.random.Generator) -> Matrix:
        """Return up to `count` random new rows that satisfy the free constraints.

        The effort is bounded. Random rows are tried first, then rows evolved towards feasibility,
        or all rows of a small space. While no feasible row is known, the rows with the least
        violations are returned; later, too few rows mean that (nearly) all were proposed.
        """
        rows = self._sampled(count, rng)
        if len(rows) < count:
            more = self._evolved(rng) if self._all is None else self.pick(self._all)
            rows = np.concatenate([rows, rng.permutation(more)])
            rows = rows[self._progress.new(rows)]
        if len(rows):
            self._found = True
            return rows[:count]
        return np.zeros_like(rows) if self._found else self._least(count, rng)

    @cached_property
    def _all(self) -> Matrix | None:
        return everything(self._problem.space)

    def _sampled(self, count: int, rng: np.random.Generator) -> Matrix:
        rows = np.zeros((0, len(self._problem.space.columns)), dtype=np.uint8)
        for _ in range(_ROUNDS):
            more = self._problem.space.sample_matrix(rng, max(_SAMPLE, 2 * (count - len(rows))))
            rows = np.concatenate([rows, self.pick(more)])
            rows = rows[self._progress.new(rows)]
            if len(rows) >= count:
                break
        return rows

    def _evolved(self, rng: np.random.Generator) -> Matrix:
        """Return new feasible rows, evolved from those with the least violations."""
        space = self._problem.space
        parents = space.sample_matrix(rng, _SAMPLE)
        found = [parents[:0]]
        for _ in range(_ROUNDS):
            children = mutate(space, parents[rng.integers(0, len(parents), _SAMPLE)], 3, rng)
            found.append(self.pick(children))
            both = np.concatenate([parents, children])
            parents = both[np.argsort(self._violation(both), kind="stable")[:_PARENTS]]
        return np.concatenate(found)

    def _least(self, count: int, rng: np.random.Generator) -> Matrix:
        space = self._problem.space
        rows = space.sample_matrix(rng, 4 * _SAMPLE) if self._all is None else self._all
        rows = rows[self._progress.new(rows)]
        return rows[np.argsort(self._violation(rows), kind="stable")[:count]]

    def _violation(self, rows: Matrix) -> Floats:
        return violation(self._problem, self._problem.known(rows), len(rows))
