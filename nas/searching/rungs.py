"""Successive halving with several objectives: train all briefly, only the better ones on.

Successive halving (Jamieson & Talwalkar, 2016) with the promotion rule of its asynchronous form
(ASHA, Li et al., 2020), and NSGA-II's order (Deb et al., 2002) in the place of a single score.
"""

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadValue
from nas.searching.pareto import Points, ranks

Floats = NDArray[np.float64]


def schedule(epochs: int, *, rungs: int, eta: int) -> tuple[int, ...]:
    """Return the epochs at which every rung ends: the last is `epochs`, the others 1/eta each.

    There are fewer than `rungs` where the first would be shorter than an epoch.

    Raises:
        BadValue: if a number is below 1, or `eta` below 2.
    """
    for name, value, least in (("epochs", epochs, 1), ("rungs", rungs, 1), ("eta", eta, 2)):
        if value < least:
            raise BadValue(f"{name} must be {least} or more, not {value}", name)
    ends = {round(epochs / eta**i) for i in range(rungs)}
    return tuple(sorted(end for end in ends if end >= 1))


def promoted(scores: Points, *, eta: int) -> NDArray[np.bool_]:
    """Return which rows of `scores`, shape (n, objectives), all minimised, are promoted.

    That is the best n/eta of them, rounded up, by non-dominated rank, and within a rank by crowding
    distance. Rows with NaN never are.
    """
    real = int((~np.isnan(scores).any(axis=1)).sum())
    keep = np.zeros(len(scores), dtype=bool)
    keep[order(scores)[: -(-real // eta)]] = True
    return keep


def order(scores: Points) -> NDArray[np.int64]:
    """Return the rows of `scores`, the best first: by rank, then by crowding distance.

    With one objective that is its order; rows with NaN come last.
    """
    rank = ranks(scores)
    distance = np.zeros(len(scores))
    for level in np.unique(rank):
        rows = np.flatnonzero(rank == level)
        distance[rows] = crowding(scores[rows])
    return np.lexsort((-distance, rank))


def crowding(points: Points) -> Floats:
    """Return NSGA-II's crowding distance of every row; infinite at the ends of every objective."""
    result = np.zeros(len(points))
    for column in points.T:
        places = np.argsort(column, kind="stable")
        extent = column[places[-1]] - column[places[0]]
        gaps = column[places[2:]] - column[places[:-2]]
        result[places[[0, -1]]] = np.inf
        result[places[1:-1]] += gaps / extent if extent > 0 else 0.0
    return result


def expected(top1: float, *, before: Floats, after: Floats) -> float:
    """Return the accuracy that a stopped candidate would have reached, a fraction.

    `before` and `after` are the accuracies of candidates that trained to the end, at the stopped
    one's rung and at the last. The error is taken to shrink as theirs did in the median; without
    any of them, or where theirs grew, the accuracy stays the same.
    """
    error = 1 - np.asarray(before, dtype=float)
    real = error > 0
    if not real.any():
        return top1
    shrunk = float(np.median((1 - np.asarray(after, dtype=float))[real] / error[real]))
    return 1 - (1 - top1) * min(shrunk, 1.0)
