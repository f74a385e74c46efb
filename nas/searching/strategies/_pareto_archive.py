"""The best trials so far: a Pareto front and what is close behind it."""

import numpy as np
from numpy.typing import NDArray

from nas.searching.acquisition import extent_of, improvement_over_sorted
from nas.searching.pareto import non_dominated
from nas.searching.problem import Floats, Problem, Trials
from nas.space.space import Matrix

_RIVALS, _MOST = 128, 1500
"""With three objectives and more a front grows long: this bounds comparisons and rows."""

_BEYOND = 0.25
"""Draws go beyond both ends of an objective by this share of its range, that is, to the ends."""

_END_REACH = 8
"""The radii are so many times wider at the ends, so that the best are not only bred alone."""


class ParetoArchive:
    """Rows with scores (all minimised) that no other row is ahead of by more than `slack`.

    `slack` is in shares of the extent of the front in every objective; with one objective the best
    `least` rows stay.
    """

    def __init__(self, problem: Problem, *, slack: float, least: int = 30) -> None:
        """Start empty."""
        self._problem, self._slack, self._least = problem, slack, least
        self.rows: Matrix = np.zeros((0, len(problem.space.columns)), dtype=np.uint8)
        self.scores: Floats = np.zeros((0, len(problem.objectives)))
        self.front: Floats = self.scores

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.rows)

    @property
    def rivals(self) -> Floats:
        """The front, or an even sample of it where several objectives make it long."""
        step = -(-len(self.front) // _RIVALS) if self.front.shape[1] > 2 else 1
        return self.front[:: max(1, step)]

    def improvement(self, scores: Floats) -> Floats:
        """Return how far `scores` are ahead of the front, which must not be empty."""
        return improvement_over_sorted(scores, self.rivals, extent_of(self.front))

    def tell(self, trials: Trials) -> None:
        """Take in the trials that are ok."""
        ok = trials.ok
        if ok.any():
            self.add(trials.picks[ok], self._problem.scores(trials.metrics)[ok])

    def add(self, rows: Matrix, scores: Floats) -> None:
        """Take in rows, and drop those that fell behind."""
        self.rows = np.concatenate([self.rows, rows])
        self.scores = np.concatenate([self.scores, scores])
        self.front = _merged(self.front, scores)
        if len(self.front) == 0:
            return
        improvement = self.improvement(self.scores)
        order = np.argsort(-improvement, kind="stable")
        keep = improvement >= -self._slack
        keep[order[: self._least]] = True
        keep[order[_MOST:]] = False
        self.rows, self.scores = self.rows[keep], self.scores[keep]


def _merged(front: Floats, scores: Floats) -> Floats:
    """Return the front of both, sorted by the last objective; `front` is one already."""
    if len(front) and scores.shape[1] > 2:
        beaten = (front[:, None, :] <= scores).all(axis=2).any(axis=0)
        scores = scores[~beaten]
        scores = scores[non_dominated(scores)]
        front = front[~(scores[:, None, :] <= front).all(axis=2).any(axis=0)]
        both = np.concatenate([front, scores])
    else:
        both = np.concatenate([front, scores])
        both = both[non_dominated(both)]
    return both[np.argsort(both[:, -1], kind="stable")]


def spread(
    scores: Floats, count: int, radii: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return positions in `scores` spread evenly over its range, shape (len(radii), count).

    Every column aims at a random place along one objective; its entries are up to `radii` ranks
    away from there, more at the ends. The logarithm of an objective counts where it is positive
    throughout.
    """
    result = np.empty((len(radii), count), dtype=np.int64)
    axes = rng.integers(0, scores.shape[1], count)
    reach = np.array(radii)[:, None]
    for axis in range(scores.shape[1]):
        lines = np.flatnonzero(axes == axis)
        values = scores[:, axis]
        values = np.log(values) if values.min() > 0 else values
        order = np.argsort(values, kind="stable")
        low, high = values[order[0]], values[order[-1]]
        over = _BEYOND * (high - low)
        target = rng.uniform(low - over, high + over, len(lines))
        place = np.searchsorted(values[order], target)
        at_ends = (target < low) | (target > high)
        around = np.where(at_ends, _END_REACH * reach, reach)
        place = place + rng.integers(-around, around + 1, (len(radii), len(lines)))
        result[:, lines] = order[_reflected(place, len(order))]
    return result


def _reflected(place: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `place` with what lies beyond 0 and `count` mirrored back inside."""
    place = np.where(place < 0, -1 - place, place)
    place = np.where(place >= count, 2 * count - 1 - place, place)
    return np.clip(place, 0, count - 1)
