"""The front of some trials, the point that its hypervolume is counted from, and its progress."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.searching.pareto import hypervolume, non_dominated
from nas.searching.problem import Constraint, Objective, Trials

BEST_OF_ONE = 10
"""With a single objective a front is one architecture; this many of the best are shown."""
_MAX_STEPS = 60
_MAX_WORK = 1e7
Points = NDArray[np.float64]


def signed(objectives: Sequence[Objective], trials: Trials) -> Points:
    """Return the objectives of all trials, all to be minimised, shape (n, objectives).

    NaN stands for what a trial does not have.
    """
    nothing = np.full(len(trials), np.nan)
    columns = [o.sign * trials.metrics.get(o.metric, nothing) for o in objectives]
    return np.stack(columns, axis=1) if columns else np.zeros((len(trials), 0))


def front_numbers(scores: Points, trials: Trials) -> NDArray[np.int64]:
    """Return the numbers of the best trials: the front, or the best few of one objective.

    `scores` are the objectives of all trials, all to be minimised; of equal networks the first
    trial counts. Of the best of one objective, those with all metrics equal count once.
    """
    first: dict[bytes, int] = {}
    for number in np.flatnonzero(trials.ok).tolist():
        first.setdefault(trials.picks[number].tobytes(), number)
    ok = np.array([*first.values()], dtype=np.int64)
    if not ok.size:
        return ok
    if scores.shape[1] == 1:
        best: dict[tuple[float, ...], int] = {}
        for number in ok[np.argsort(scores[ok, 0], kind="stable")].tolist():
            best.setdefault(tuple(values[number] for values in trials.metrics.values()), number)
            if len(best) == BEST_OF_ONE:
                break
        return np.array([*best.values()], dtype=np.int64)
    return ok[non_dominated(scores[ok])]


def reference_point(
    objectives: Sequence[Objective],
    limits: Sequence[Constraint],
    trials: Trials,
    known: Mapping[str, float],
) -> Points:
    """Return the worst value of each objective, signed so that smaller is better.

    That is its constraint; without one 0 (or the worst found, if that is below) where larger is
    better, otherwise twice the baseline's, which is in `known`, and without a baseline the worst
    value found.
    """
    return np.array([_worst(objective, limits, trials, known) for objective in objectives])


def _worst(
    objective: Objective,
    limits: Sequence[Constraint],
    trials: Trials,
    known: Mapping[str, float],
) -> float:
    for limit in limits:
        if limit.metric == objective.metric and limit.at_most == (objective.sign > 0):
            return objective.sign * limit.value
    found = objective.sign * trials.metrics[objective.metric][trials.ok]
    if objective.sign < 0:
        return max(0.0, float(found.max()))
    return float(2 * known[objective.metric] if objective.metric in known else found.max())


def progress_of_hypervolume(
    scores: Points, ok: NDArray[np.bool_], reference: Points
) -> tuple[NDArray[np.int64], Points]:
    """Return numbers of trials, and the hypervolume of the front of so many.

    There are at most 60 of them, fewer where the front is large, and none where it is too large;
    see `is_affordable`.
    """
    total = len(scores)
    if not total or not ok.any():
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    size = int(non_dominated(scores[ok]).sum())
    if not is_affordable(size, scores.shape[1]):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    steps = min(_MAX_STEPS, total, max(2, round(2 * _MAX_WORK / _work(size, scores.shape[1]))))
    counts = np.unique(np.linspace(1, total, steps).round().astype(np.int64))
    volumes, front, done = [], scores[:0], 0
    for count in counts.tolist():
        new = scores[done:count][ok[done:count]]
        front, done = np.concatenate([front, new]), count
        front = front[non_dominated(front)]
        volumes.append(hypervolume(front, reference))
    return counts, np.array(volumes)


def is_affordable(size: int, objectives: int) -> bool:
    """Return whether the hypervolume of `size` points can be worked out within seconds.

    The exact one takes a multiple with each objective beyond the second: 3,000 points in three
    dimensions, 200 in four, 50 in five.
    """
    return _work(size, objectives) <= _MAX_WORK


def _work(size: int, objectives: int) -> float:
    return float(max(size, 1)) ** (objectives - 1) if objectives > 2 else 1.0
