"""Rows of picks made from other rows: mutations, mixtures, neighbours, all there are."""

from math import prod

import numpy as np

from nas.space.space import Matrix, Space

_ALL = 200_000
"""Up to so many combinations of picks a space is written out."""


def mutate(space: Space, rows: Matrix, most: int, rng: np.random.Generator) -> Matrix:
    """Return canonical copies of `rows` with 1 to `most` picks changed in each.

    Inactive picks are drawn first, so that a layer that a mutation adds is random, not always the
    first value of every choice. A change of a pick that stays inactive is lost.
    """
    result = np.where(space.active(rows), rows, _random(space, rows.shape, rng))
    columns = rng.integers(0, rows.shape[1], (len(rows), most))
    steps = 1 + (rng.random(columns.shape) * (space.widths[columns] - 1)).astype(np.int64)
    number = rng.integers(1, most + 1, len(rows))
    for i in range(most):
        lines = np.flatnonzero(number > i)
        at = columns[lines, i]
        result[lines, at] = (result[lines, at] + steps[lines, i]) % space.widths[at]
    return space.canonical(result)


def _random(space: Space, shape: tuple[int, ...], rng: np.random.Generator) -> Matrix:
    drawn: Matrix = (rng.random(shape, dtype=np.float32) * space.widths).astype(np.uint8)
    return drawn


def crossover(rows: Matrix, others: Matrix, rng: np.random.Generator) -> Matrix:
    """Return rows with every pick from `rows` or `others` (same shape), at even odds."""
    return np.where(rng.integers(0, 2, rows.shape, dtype=np.bool_), others, rows)


def neighbours(space: Space, row: Matrix) -> Matrix:
    """Return all rows that differ from `row`, shape (columns,), in one active pick."""
    variants = []
    for column in np.flatnonzero(space.active(row[None])[0]):
        for value in range(space.widths[column]):
            if value != row[column]:
                variants.append(row.copy())
                variants[-1][column] = value
    return space.canonical(np.array(variants, dtype=np.uint8).reshape(-1, len(row)))


def all_rows(space: Space) -> Matrix | None:
    """Return every row of a small space once, None for a large one."""
    if prod(space.widths.tolist()) > _ALL:
        return None
    grid = np.indices(tuple(space.widths), dtype=np.uint8).reshape(len(space.widths), -1).T
    return np.unique(space.canonical(grid), axis=0)
