"""What a strategy asked and was told so far: which rows are new, and its random numbers.

The random numbers of an ask depend on the seed and on the trials told, not on the asks before: a
strategy that is told the same trials continues the same way, asked before or not.
"""

import numpy as np
from numpy.typing import NDArray

from nas.searching.problem import Trials
from nas.space.space import Matrix, Space

_KEYS_SEED = 1905
"""Fixed, so that a row has the same hash in every run."""


class SearchProgress:
    """The rows asked and told, by a hash that two different rows share once in 2^64 pairs."""

    def __init__(self, space: Space, seed: int) -> None:
        """Start with nothing asked and nothing told."""
        keys = np.random.default_rng(_KEYS_SEED)
        self._keys = keys.integers(1, 2**64, len(space.columns), dtype=np.uint64)
        self._seen: set[int] = set()
        self._pending: set[int] = set()
        self._seed = seed % 2**32
        self.count = 0
        """The number of trials told."""

    def rng(self) -> np.random.Generator:
        """Return the random numbers for the next ask."""
        return np.random.default_rng((self._seed, self.count, len(self._pending)))

    def unseen(self, rows: Matrix) -> NDArray[np.bool_]:
        """Return which rows were neither asked nor told; equal ones may be among them."""
        seen = self._seen
        return np.array([key not in seen for key in self._hash(rows)], dtype=bool)

    def new(self, rows: Matrix) -> NDArray[np.int64]:
        """Return the positions of rows neither asked nor told, the first of equal rows each."""
        first: dict[int, int] = {}
        for position, key in enumerate(self._hash(rows)):
            if key not in self._seen:
                first.setdefault(key, position)
        return np.fromiter(first.values(), dtype=np.int64, count=len(first))

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

    def _hash(self, rows: Matrix) -> list[int]:
        hashes: list[int] = (rows.astype(np.uint64) @ self._keys).tolist()
        return hashes
