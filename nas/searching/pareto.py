"""Dominance, fronts and hypervolume; every coordinate is to be minimised unless said otherwise."""

from collections.abc import Sequence
from math import fsum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.core.errors import NasError

Points = NDArray[np.float64]


def pareto_front(points: ArrayLike, directions: Sequence[str] = ()) -> NDArray[np.int64]:
    """Return the row numbers of `points` on the Pareto front, ordered by the first column.

    `points` has shape (n, objectives); `directions` has "min" or "max" for each column, all "min"
    where it is left out.

    Example:
        >>> pareto_front([[0.70, 60.0], [0.75, 80.0], [0.69, 70.0]], ["max", "min"])
        array([0, 1])

    Raises:
        NasError: if `directions` do not fit the columns.
    """
    values = np.asarray(points, dtype=float)
    if not values.size:
        return np.zeros(0, dtype=np.int64)
    if values.ndim != 2 or (directions and len(directions) != values.shape[1]):
        raise NasError("points must have shape (n, objectives), with one direction per objective")
    if not set(directions) <= {"min", "max"}:
        raise NasError(f"directions must be min or max, not {', '.join(directions)}")
    signs = [1.0 if d == "min" else -1.0 for d in directions] or [1.0] * values.shape[1]
    front = np.flatnonzero(non_dominated(values * signs))
    order: NDArray[np.int64] = front[np.argsort(values[front, 0], kind="stable")]
    return order


def non_dominated(points: Points) -> NDArray[np.bool_]:
    """Return which rows of `points`, shape (n, objectives), no other row dominates.

    Of equal rows the first one stays. Rows with NaN never do; an infinity is a number like others.
    """
    keep = np.zeros(len(points), dtype=bool)
    real = np.flatnonzero(~np.isnan(points).any(axis=1))
    order = real[np.lexsort(points[real].T[::-1])]
    chosen = _front_2d(points[order]) if points.shape[1] <= 2 else _front_kd(points[order])
    keep[order[chosen]] = True
    return keep


def _front_2d(ordered: Points) -> NDArray[np.bool_]:
    """Return the front of lexically ordered rows with one or two columns."""
    last = ordered[:, -1]
    keep = np.ones(len(last), dtype=bool)  # nothing comes before the first, even if it is infinite
    keep[1:] = last[1:] < np.minimum.accumulate(last)[:-1]
    return keep


def _front_kd(ordered: Points) -> NDArray[np.bool_]:
    """Return the front of lexically ordered rows: a row is dominated by an earlier one only."""
    keep = np.zeros(len(ordered), dtype=bool)
    front = np.empty_like(ordered)
    size = 0
    for i, point in enumerate(ordered):
        if not (front[:size] <= point).all(axis=1).any():
            front[size], keep[i] = point, True
            size += 1
    return keep


def ranks(points: Points) -> NDArray[np.int64]:
    """Return the non-dominated rank of every row, 0 for the front (NSGA-II, Deb et al., 2002).

    Equal rows have equal ranks; rows with NaN come last.
    """
    result = np.full(len(points), len(points), dtype=np.int64)
    real = np.flatnonzero(~np.isnan(points).any(axis=1))
    different, which = np.unique(points[real], axis=0, return_inverse=True)
    rank_of = np.zeros(len(different), dtype=np.int64)
    left, rank = np.arange(len(different)), 0
    while left.size:
        front = non_dominated(different[left])
        rank_of[left[front]] = rank
        left, rank = left[~front], rank + 1
    result[real] = rank_of[which.reshape(-1)]
    return result


def hypervolume(points: Points, reference: Points) -> float:
    """Return the volume that `points` dominate within `reference` (Zitzler & Thiele, 1998).

    `points` has shape (n, objectives), `reference` (objectives,); points beyond it count nothing.
    Exact: sorted in two dimensions, sliced along the last objective in more.
    """
    inside = points[(points < reference).all(axis=1)]
    front = inside[non_dominated(inside)]
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front.min())
    if front.shape[1] == 2:
        front = front[np.argsort(front[:, 0], kind="stable")]
        right = np.append(front[1:, 0], reference[0])
        return float(((right - front[:, 0]) * (reference[1] - front[:, 1])).sum())
    front = front[np.argsort(front[:, -1], kind="stable")]
    tops = np.append(front[1:, -1], reference[-1])
    slices = [
        (top - point[-1]) * hypervolume(front[: i + 1, :-1], reference[:-1])
        for i, (point, top) in enumerate(zip(front, tops, strict=True))
        if top > point[-1]
    ]
    return fsum(slices)  # the same in every version of Python
