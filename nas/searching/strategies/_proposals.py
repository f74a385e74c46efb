"""What a strategy has proposed and was told, and new rows that satisfy the free constraints.

Free constraints are those on metrics that cost nothing. The random numbers of an ask depend on the
seed and on the trials told, not on the asks before: a strategy that is told the same trials
continues the same way, asked before or not.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.searching.acquisition import violation
from nas.searching.problem import Floats, Problem, Trials
from nas.searching.strategies._variation import all_rows, mutate
from nas.space.space import Matrix

_KEYS_SEED = 1905
"""Fixed, so that a row has the same hash in every run; two rows share one once in 2^64 pairs."""

_ROUNDS, _MOST_ROUNDS = 12, 60
_MUTATIONS = 3
_SAMPLE = 512
_PARENTS = 64


class Proposals:
    """The rows asked and told, and a source of new ones; `count` is the number of trials told."""

    def __init__(self, problem: Problem, seed: int) -> None:
        """Start with nothing asked and nothing told."""
        self._problem, self._seed, self.count = problem, seed % 2**32, 0
        keys = np.random.default_rng(_KEYS_SEED)
        self._keys = keys.integers(1, 2**64, len(problem.space.columns), dtype=np.uint64)
        self._seen: set[int] = set()
        self._pending: set[int] = set()
        self._any_feasible = False
        self._nearest: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)

    def rng(self) -> np.random.Generator:
        """Return the random numbers for the next ask."""
        return np.random.default_rng((self._seed, self.count, len(self._pending)))

    def ask(self, rows: Matrix) -> Matrix:
        """Remember that `rows` are asked for, and return them."""
        hashes = self._hash(rows)
        self._seen.update(hashes)
        self._pending.update(hashes)
        return rows

    def tell(self, trials: Trials) -> None:
        """Remember that `trials` are told."""
        hashes = self._hash(trials.picks)
        self._seen.update(hashes)
        self._pending.difference_update(hashes)
        self.count += len(trials)
        self._nearest = self._least(np.concatenate([self._nearest, trials.picks]), _PARENTS)

    def unseen(self, rows: Matrix) -> NDArray[np.bool_]:
        """Return which rows were neither asked nor told; equal ones may be among them."""
        seen = self._seen
        return np.array([key not in seen for key in self._hash(rows)], dtype=bool)

    def new(self, rows: Matrix) -> Matrix:
        """Return the rows that were neither asked nor told, each once."""
        _, first = np.unique(self._hashes(rows), return_index=True)
        first.sort()
        return rows[first[self.unseen(rows[first])]]

    def _hashes(self, rows: Matrix) -> NDArray[np.uint64]:
        hashes: NDArray[np.uint64] = rows.astype(np.uint64) @ self._keys
        return hashes

    def _hash(self, rows: Matrix) -> list[int]:
        hashes: list[int] = self._hashes(rows).tolist()
        return hashes

    def feasible(self, rows: Matrix) -> Matrix:
        """Return the `new` ones of `rows` that satisfy the free constraints."""
        rows = self.new(rows)
        return rows[self._problem.satisfies(self._problem.known(rows), len(rows))]

    def fill(self, rows: Matrix, count: int, rng: np.random.Generator) -> Matrix:
        """Return the first `count` of `rows`, which are new; filled up with random ones."""
        self._any_feasible = self._any_feasible or len(rows) > 0
        if len(rows) >= count:
            return rows[:count]
        return self.new(np.concatenate([rows, self.random(count, rng)]))[:count]

    def random(self, count: int, rng: np.random.Generator) -> Matrix:
        """Return up to `count` random `feasible` rows.

        The effort is bounded. Random rows are tried first, then rows evolved towards feasibility,
        or all rows of a small space. While no feasible row is known, the rows with the least
        violations are returned; later, too few rows mean that (nearly) all were proposed.
        """
        rows = self._sampled(count, rng)
        if len(rows) < count:
            more = self._evolved(rng) if self._all is None else self.feasible(self._all)
            rows = self.new(np.concatenate([rows, rng.permutation(more)]))
        if len(rows):
            self._any_feasible = True
            return rows[:count]
        if self._any_feasible:
            return np.zeros_like(rows)
        more = (
            self._problem.space.sample_matrix(rng, 4 * _SAMPLE) if self._all is None else self._all
        )
        return self._least(
            self.new(np.concatenate([self._mutants(self._nearest, rng), more])), count
        )

    @cached_property
    def _all(self) -> Matrix | None:
        return all_rows(self._problem.space)

    def _sampled(self, count: int, rng: np.random.Generator) -> Matrix:
        rows = np.zeros((0, len(self._problem.space.columns)), dtype=np.uint8)
        for _ in range(_ROUNDS):
            more = self._problem.space.sample_matrix(rng, max(_SAMPLE, 2 * (count - len(rows))))
            rows = self.new(np.concatenate([rows, self.feasible(more)]))
            if len(rows) >= count:
                break
        return rows

    def _evolved(self, rng: np.random.Generator) -> Matrix:
        """Return feasible rows, evolved from those with the least violations.

        They are of the trials told, and random ones. It takes longer while none is found.
        """
        parents = np.concatenate([self._problem.space.sample_matrix(rng, _SAMPLE), self._nearest])
        found = [parents[:0]]
        for done in range(_MOST_ROUNDS):
            if done >= _ROUNDS and any(map(len, found)):
                break
            children = self._mutants(parents, rng)
            found.append(self.feasible(children))
            parents = self._least(np.concatenate([parents, children]), _PARENTS)
        return np.concatenate(found)

    def _mutants(self, parents: Matrix, rng: np.random.Generator) -> Matrix:
        if not len(parents):
            return parents
        chosen = parents[rng.integers(0, len(parents), _SAMPLE)]
        return mutate(self._problem.space, chosen, _MUTATIONS, rng)

    def _least(self, rows: Matrix, count: int) -> Matrix:
        """Return the `count` rows that violate the free constraints least."""
        if not self._problem.limits:
            return rows[:count]
        return rows[np.argsort(self._violation(rows), kind="stable")[:count]]

    def _violation(self, rows: Matrix) -> Floats:
        return violation(self._problem, self._problem.known(rows), len(rows))
