"""Warm starts: a strategy that proposes given architectures before another one takes over."""

import numpy as np

from nas.searching.problem import Strategy, Trials
from nas.space.space import Matrix


class Seeded:
    """Proposes `rows` first, then whatever `strategy` proposes; every tell goes to `strategy`."""

    def __init__(self, strategy: Strategy, rows: Matrix) -> None:
        """Wrap `strategy`; `rows` has shape (n, columns)."""
        self._strategy, self._rows = strategy, rows

    @property
    def batch(self) -> int:
        """The preferred number of the wrapped strategy."""
        return self._strategy.batch

    def ask(self, count: int) -> Matrix:
        """Return the rows that are left, up to `count`, and fill up from the strategy."""
        given, self._rows = self._rows[:count], self._rows[count:]
        if len(given) == count:
            return given
        return np.concatenate([given, self._strategy.ask(count - len(given))])

    def tell(self, trials: Trials) -> None:
        """Pass the trials on."""
        self._strategy.tell(trials)
