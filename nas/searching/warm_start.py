"""Warm starts: a strategy that proposes given architectures before another one takes over."""

from collections.abc import Iterator, Sequence

import numpy as np

from nas.core.data import bundled
from nas.core.errors import NotInSpace
from nas.network.blocks import Architecture
from nas.network.zoo import load_architecture
from nas.searching.problem import Problem, Strategy, Trials, is_slow
from nas.space.space import Matrix, Space

ZOO = "zoo"
"""Means the bundled architectures of the space that satisfy the constraints."""


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


def seed_rows(problem: Problem, seeds: Sequence[str | Architecture]) -> Matrix:
    """Return the rows of architectures, by their names or as they are, shape (n, columns).

    `ZOO` may be one of the names. The zoo is left out where an evaluation is no look-up: a few
    trials are then all there are.

    Raises:
        NotInSpace: if one of the others lies outside of the space.
    """
    space = problem.space
    rows = [space.pack(space.encode(known_backbone(problem, s))) for s in seeds if s != ZOO]
    rows = [*_in_each_dtype(space, rows)]
    if ZOO in seeds and not is_slow(problem):
        known = _in_each_dtype(space, [*_zoo(problem)])
        rows = [*known[problem.satisfies(problem.known(known), len(known))], *rows]
    return np.array(rows, np.uint8).reshape(-1, len(space.columns))


def _in_each_dtype(space: Space, rows: Sequence[Matrix]) -> Matrix:
    """Return `rows`, those of architectures, in each dtype of the space where it has several."""
    found = np.array(rows, np.uint8).reshape(-1, len(space.columns))
    if not space.dtypes[1:]:
        return found
    times = np.repeat(found, len(space.dtypes), axis=0)
    times[:, -1] = np.arange(len(times)) % len(space.dtypes)
    return times


def known_backbone(problem: Problem, found: str | Architecture) -> Architecture:
    """Return a known architecture; in a search for detectors, with the resolution of these."""
    arch = load_architecture(found) if isinstance(found, str) else found
    return problem.head.at_its_side(arch, problem.space) if problem.head else arch


def _zoo(problem: Problem) -> Iterator[Matrix]:
    """Give the rows of the bundled architectures that are points of the space."""
    space = problem.space
    for name in bundled("architectures"):
        try:
            yield space.pack(space.encode(known_backbone(problem, name)))
        except NotInSpace:
            continue
