"""Rank candidates by predicted scores and predicted violations of constraints."""

import numpy as np
from numpy.typing import NDArray

from nas.searching.problem import Floats, Metrics, Problem

_BLOCK = 4_000_000
"""Numbers compared at once, which bounds the memory."""


def violation(problem: Problem, metrics: Metrics, count: int) -> Floats:
    """Return by how much `count` candidates violate the constraints, shape (count,).

    The violations count relative to the limits and add up; absent or NaN metrics count 0.
    """
    total = np.zeros(count)
    for c in problem.limits:
        if c.metric in metrics:
            excess = np.maximum(c.excess(metrics[c.metric]), 0)
            total += np.nan_to_num(excess / c.scale, nan=0.0)
    return total


def extent_of(front: Floats) -> Floats:
    """Return the extent of the front in every objective, 1 where it has none."""
    extent = np.ptp(front, axis=0) if len(front) else np.zeros(front.shape[1])
    return np.where(extent > 0, extent, 1.0)


def improvement(scores: Floats, front: Floats, extent: Floats | None = None) -> Floats:
    """Return how far `scores` are ahead of `front`, shape (n,), both to be minimised.

    That is by how much a score could get worse in every objective, in shares of `extent`, the
    front's own where left out, until the front dominates it; negative for scores that it dominates,
    minus infinity for NaN. Without a front it is 0.
    """
    if not len(front):
        return np.where(np.isnan(scores).any(axis=1), -np.inf, 0.0)
    extent = extent_of(front) if extent is None else extent
    found = np.empty(len(scores))
    step = max(1, _BLOCK // front.size)
    for start in range(0, len(scores), step):
        part = scores[start : start + step, None, :]
        found[start : start + step] = ((front - part) / extent).max(axis=2).min(axis=1)
    return np.where(np.isnan(found), -np.inf, found)


def improvement_over_sorted(scores: Floats, front: Floats, extent: Floats) -> Floats:
    """Return how far `scores` are ahead of a front that is sorted by its last objective.

    With two objectives only the first one is moved, which is much faster and gives the same order;
    otherwise it is `improvement`.
    """
    if scores.shape[1] != 2:
        return improvement(scores, front, extent)
    at = np.searchsorted(front[:, 1], scores[:, 1], side="right")
    rival = np.append(front[0, 0] + extent[0], front[:, 0])[at]
    result: Floats = (rival - scores[:, 0]) / extent[0]
    return result


def select_batch(
    scores: Floats, violations: Floats, front: Floats, *, count: int
) -> NDArray[np.int64]:
    """Return the positions of up to `count` candidates, the most promising first.

    Each has the largest `improvement` over the front and those taken before it, less its
    `violations` of constraints, shape (n,).
    """
    worth, extent = improvement(scores, front), extent_of(front)
    left = np.ones(len(scores), dtype=bool)
    chosen = []
    for _ in range(min(count, len(scores))):
        best = int(np.where(left, worth - violations, -np.inf).argmax())
        best = best if left[best] else int(left.argmax())  # what is left has no prediction
        chosen.append(best)
        left[best] = False
        worth = np.fmin(worth, ((scores[best] - scores) / extent).max(axis=1))
    return np.array(chosen, dtype=np.int64)
