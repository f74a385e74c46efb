"""Which networks of a space a step of a supernet trains."""

import numpy as np

from nas.network.cost import cost
from nas.space.rows import Column
from nas.space.space import Matrix, Space


def largest(space: Space) -> Matrix:
    """Return the row of the network with the largest value of every choice, shape (columns,)."""
    return _extreme(space, sign=1)


def smallest(space: Space) -> Matrix:
    """Return the row of the network with the smallest value of every choice, shape (columns,)."""
    return _extreme(space, sign=-1)


def _extreme(space: Space, *, sign: int) -> Matrix:
    """Return the row at one end of the space; of values that are no numbers, multiply-adds decide.

    Of equal ones the first is taken.
    """
    row = np.array([_end(column, sign) for column in space.columns], dtype=np.uint8)
    for place, column in enumerate(space.columns):
        if not _is_number(column):
            rows = np.repeat(row[None], len(column.values), axis=0)
            rows[:, place] = np.arange(len(column.values))
            macs = [cost(arch).macs for arch in space.decode_rows(rows)]
            row[place] = int(np.argmax(sign * np.array(macs)))
    found: Matrix = space.canonical(row[None])[0]
    return found


def _end(column: Column, sign: int) -> int:
    if not _is_number(column):
        return 0
    return int(np.argmax(sign * np.array(column.values, dtype=float)))


def _is_number(column: Column) -> bool:
    return not any(isinstance(value, bool | str) for value in column.values)


def sample_subnets(
    space: Space, count: int, rng: np.random.Generator, pool: Matrix | None
) -> Matrix:
    """Return `count` random rows of the space, or of the rows in `pool`, shape (count, columns)."""
    if pool is None:
        return space.sample_matrix(rng, count)
    return pool[rng.integers(0, len(pool), count)]
