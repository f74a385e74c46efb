"""Which candidates promise the most, by predicted scores and predicted breaches of limits."""

import numpy as np
from numpy.typing import NDArray

from nas.searching.problem import Floats, Metrics, Problem


def violation(problem: Problem, metrics: Metrics, count: int) -> Floats:
    """Return by how much `count` candidates break the limits, shape (count,), 0 where they do not.

    The excesses count relative to the limits and add up; metrics that are absent or NaN count 0.
    """
    total = np.zeros(count)
    for limit in problem.limits:
        if limit.metric in metrics:
            excess = (metrics[limit.metric] - limit.value) * (1 if limit.at_most else -1)
            total += np.nan_to_num(np.maximum(excess, 0) / (abs(limit.value) or 1.0), nan=0.0)
    return total


def ahead(scores: Floats, front: Floats) -> Floats:
    """Return how far `scores` are ahead of `front`, shape (n,), both to be minimised.

    That is by how much a score could get worse in every objective, in shares of the extent of the
    front, until the front dominates it; negative for scores that it dominates, minus infinity for
    NaN. Without a front it is 0.
    """
    if not len(front):
        return np.where(np.isnan(scores).any(axis=1), -np.inf, 0.0)
    found = ((front - scores[:, None, :]) / _extent(front)).max(axis=2).min(axis=1)
    return np.where(np.isnan(found), -np.inf, found)


def promising(scores: Floats, broken: Floats, front: Floats, *, count: int) -> NDArray[np.int64]:
    """Return the positions of up to `count` candidates, the most promising first.

    Each is the one that is furthest `ahead` of the front and of those taken before it, less
    `broken`, by how much it breaks limits, shape (n,).
    """
    worth, extent = ahead(scores, front), _extent(front)
    left = np.ones(len(scores), dtype=bool)
    chosen = []
    for _ in range(min(count, len(scores))):
        best = int(np.where(left, worth - broken, -np.inf).argmax())
        best = best if left[best] else int(left.argmax())  # what is left has no prediction
        chosen.append(best)
        left[best] = False
        worth = np.fmin(worth, ((scores[best] - scores) / extent).max(axis=1))
    return np.array(chosen, dtype=np.int64)


def _extent(front: Floats) -> Floats:
    """Return the extent of the front in every objective, 1 where it has none."""
    extent = np.ptp(front, axis=0) if len(front) else np.zeros(front.shape[1])
    return np.where(extent > 0, extent, 1.0)
