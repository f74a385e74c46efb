"""Sample random rows that reach further than uniform ones: the corners of a space, and near rows.

In uniform rows the effects of choices average out, so that small and large networks are rare.
"""

import numpy as np

from nas.space.space import Matrix, Space

_TILT = 1.5


def biased_rows(space: Space, rng: np.random.Generator, count: int) -> Matrix:
    """Return random rows, each with a random bias towards the first or the last values."""
    tilts = rng.uniform(-_TILT, _TILT, count)
    rows = np.zeros((count, len(space.widths)), dtype=np.uint8)
    for column, width in enumerate(space.widths):
        weights = np.exp(np.outer(tilts, np.linspace(-1, 1, width)))
        edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        rows[:, column] = (rng.random((count, 1)) > edges[:, :-1]).sum(axis=1)
    return space.canonical(rows)


def corner_rows(space: Space, rng: np.random.Generator, count: int) -> Matrix:
    """Return random rows, each with a bias towards first or last values that varies by choice.

    They reach further than `biased_rows` ones: into the corners themselves.
    """
    shape = (count, len(space.columns))
    lean = rng.normal(0, 1.5, (count, 1)) + rng.normal(0, 0.7, shape)
    rows = np.minimum(rng.random(shape) ** np.exp(lean) * space.widths, space.widths - 1)
    return space.canonical(rows.astype(np.uint8))


def offspring(space: Space, rows: Matrix, rng: np.random.Generator, count: int) -> Matrix:
    """Return rows that take each choice from one of two `rows`, or, once in ten, at random."""
    one, other = rows[rng.integers(0, len(rows), (2, count))]
    shape = one.shape
    mixed = np.where(rng.random(shape) < 0.5, one, other)
    mixed = np.where(rng.random(shape) < 0.1, space.sample_matrix(rng, count), mixed)
    return space.canonical(mixed)


def covering_rows(space: Space, rows: Matrix, rng: np.random.Generator, count: int) -> Matrix:
    """Return rows to distill a model of `rows` on: uniform, `corner_rows` and `offspring`.

    A search goes to the corners, so the model must be accurate there too.
    """
    each = count // 3
    uniform = space.sample_matrix(rng, count - 2 * each)
    return np.concatenate(
        [uniform, corner_rows(space, rng, each), offspring(space, rows, rng, each)]
    )
