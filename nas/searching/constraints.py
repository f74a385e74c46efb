"""Whether limits can be met at all, found out before a search starts."""

from collections.abc import Callable, Sequence
from math import ceil, floor, log10

import numpy as np

from nas.core.errors import Unreachable
from nas.searching.config import LOOKUP_SECONDS
from nas.searching.problem import Candidates, Floats, Limit, Problem, answers
from nas.space.space import Matrix, Space

_STARTS = 8
_WEIGHTINGS = 16
_SWEEPS = 12
_MARGIN = 0.01
"""By so much of their values limits on a learned metric must miss each other to be refused."""

Misses = Callable[[Matrix], Floats]
"""Says by what share of its value each limit is missed, shape (rows, limits); at most 0 is met."""


def check_limits(problem: Problem, *, seed: int = 0) -> None:
    """Refuse limits that nothing in the space can meet, each alone and all together.

    Only metrics that are looked up are tried, by coordinate descent from random architectures:
    exact where a metric is a sum over stages, as costs and latencies are; for a learned accuracy
    it is the best found. Limits contradict each other where even a weighted sum of their misses
    stays above zero; those that are only hard to meet together are left to the search.

    Raises:
        Unreachable: naming the limit and the nearest value that can be reached.
    """
    rng = np.random.default_rng(seed)
    quick = [e for e in problem.evaluators if e.seconds <= LOOKUP_SECONDS]
    known = {metric for evaluator in quick for metric in evaluator.provides}
    limits = [limit for limit in problem.limits if limit.metric in known]
    for limit in limits:
        _check_alone(problem, limit, rng)
    if len(limits) > 1:
        _check_together(problem, limits, rng)


def _check_alone(problem: Problem, limit: Limit, rng: np.random.Generator) -> None:
    misses, space = _misses(problem, [limit]), problem.space
    rows = space.sample_matrix(rng, _STARTS)
    rows = _descend(space, misses, rows, np.ones((len(rows), 1)))
    miss = misses(rows)[:, 0]
    if miss.min() > 0:
        value = _values(problem, limit, rows[[miss.argmin()]])[0]
        bound = "at least" if limit.at_most else "at most"
        raise Unreachable(
            f"limit {limit} cannot be met: {limit.metric} in space {space.name} "
            f"is {bound} {_outwards(float(value), up=limit.at_most)}"
        )


def _outwards(value: float, *, up: bool) -> str:
    """Return `value` as text, rounded so that it can be met as a limit."""
    if value == int(value):
        return str(int(value))
    unit = 10.0 ** (floor(log10(abs(value))) - 5)
    return f"{(ceil(value / unit) if up else floor(value / unit)) * unit:.10g}"


def _check_together(problem: Problem, limits: Sequence[Limit], rng: np.random.Generator) -> None:
    misses, space = _misses(problem, limits), problem.space
    weights = 10.0 ** rng.uniform(-2, 2, (_WEIGHTINGS, len(limits)))
    weights = np.repeat(weights / weights.sum(axis=1, keepdims=True), _STARTS // 4, axis=0)
    rows = _descend(space, misses, space.sample_matrix(rng, len(weights)), weights)
    missed = misses(rows)
    least = (missed * weights).sum(axis=1).reshape(_WEIGHTINGS, -1).min(axis=1)
    exact = {metric for evaluator in problem.free for metric in evaluator.provides}
    margin = 0.0 if all(limit.metric in exact for limit in limits) else _MARGIN
    if (missed <= 0).all(axis=1).any() or least.max() <= margin:
        return
    nearest = rows[[np.maximum(missed, 0).sum(axis=1).argmin()]]
    found = [f"{x.metric} {_values(problem, x, nearest)[0]:.6g}" for x in limits]
    raise Unreachable(
        f"limits {', '.join(map(str, limits))} contradict each other in space {space.name}: each "
        f"can be met, but not all; the nearest found has {', '.join(found)}"
    )


def _descend(space: Space, misses: Misses, rows: Matrix, weights: Floats) -> Matrix:
    """Return `rows` with every pick, one after the other, set to the best of its values.

    The best has the least sum of misses times `weights`, shape (rows, limits). Ends early as soon
    as a row meets all limits.
    """
    best, lines = (misses(rows) * weights).sum(axis=1), np.arange(len(rows))
    for _ in range(_SWEEPS):
        before = best.copy()
        for column, width in enumerate(space.widths):
            tried = np.repeat(rows[None], width, axis=0)
            tried[:, :, column] = np.arange(width, dtype=np.uint8)[:, None]
            missed = misses(space.canonical(tried.reshape(-1, len(space.widths))))
            missed = missed.reshape(width, len(rows), -1)
            sums = (missed * weights).sum(axis=2)
            chosen = sums.argmin(axis=0)
            better = sums[chosen, lines] < best - 1e-12
            rows, best = rows.copy(), np.where(better, sums[chosen, lines], best)
            rows[better] = tried[chosen, lines][better]
            if (missed[chosen, lines] <= 0).all(axis=1)[better].any():
                return space.canonical(rows)
        if (best == before).all():
            break
    return space.canonical(rows)


def _misses(problem: Problem, limits: Sequence[Limit]) -> Misses:
    def misses(rows: Matrix) -> Floats:
        columns = [
            (1.0 if limit.at_most else -1.0)
            * (_values(problem, limit, rows) - limit.value)
            / (abs(limit.value) or 1.0)
            for limit in limits
        ]
        return np.stack(columns, axis=1)

    return misses


def _values(problem: Problem, limit: Limit, rows: Matrix) -> Floats:
    evaluator = next(e for e in problem.evaluators if limit.metric in e.provides)
    return answers(evaluator, Candidates(space=problem.space, picks=rows)).metrics[limit.metric]
