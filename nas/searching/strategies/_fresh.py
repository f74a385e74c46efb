"""New rows that keep the limits on metrics that cost nothing."""

from functools import cached_property

import numpy as np

from nas.searching.acquisition import violation
from nas.searching.problem import Floats, Problem
from nas.searching.strategies._progress import Progress
from nas.searching.strategies._vary import everything, mutate
from nas.space.space import Matrix

_ROUNDS = 12
_SAMPLE = 512
_PARENTS = 64


class Fresh:
    """A source of rows that were neither asked nor told."""

    def __init__(self, problem: Problem, progress: Progress) -> None:
        """Draw from the space of `problem`; what counts as new, `progress` knows."""
        self._problem, self._progress = problem, progress
        self._found = False

    def pick(self, rows: Matrix) -> Matrix:
        """Return those of `rows` that are new and keep the free limits, each once."""
        rows = rows[self._progress.new(rows)]
        return rows[self._problem.keeps_limits(self._problem.known(rows), len(rows))]

    def fill(self, rows: Matrix, count: int, rng: np.random.Generator) -> Matrix:
        """Return the first `count` of `rows`, which are new; drawn ones where they are fewer."""
        self._found = self._found or len(rows) > 0
        if len(rows) >= count:
            return rows[:count]
        rows = np.concatenate([rows, self.draw(count, rng)])
        return rows[self._progress.new(rows)][:count]

    def draw(self, count: int, rng: np.random.Generator) -> Matrix:
        """Return up to `count` random new rows that keep the free limits.

        The effort is bounded. Random rows are tried first, then rows evolved towards the limits,
        or all rows of a small space. While no row is known that keeps the limits, the rows that
        break them least are returned in their stead; afterwards too few rows mean that (nearly)
        all were proposed.
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
        """Return new rows that keep the limits, bred from those that break them least."""
        space = self._problem.space
        parents = space.sample_matrix(rng, _SAMPLE)
        found = [parents[:0]]
        for _ in range(_ROUNDS):
            children = mutate(space, parents[rng.integers(0, len(parents), _SAMPLE)], 3, rng)
            found.append(self.pick(children))
            pool = np.concatenate([parents, children])
            parents = pool[np.argsort(self._excess(pool), kind="stable")[:_PARENTS]]
        return np.concatenate(found)

    def _least(self, count: int, rng: np.random.Generator) -> Matrix:
        space = self._problem.space
        rows = space.sample_matrix(rng, 4 * _SAMPLE) if self._all is None else self._all
        rows = rows[self._progress.new(rows)]
        return rows[np.argsort(self._excess(rows), kind="stable")[:count]]

    def _excess(self, rows: Matrix) -> Floats:
        return violation(self._problem, self._problem.known(rows), len(rows))
