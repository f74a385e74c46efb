"""Check before a search that its constraints can be satisfied at all."""

from collections.abc import Callable, Sequence
from math import ceil, floor, log10

import numpy as np

from nas.core.errors import Unreachable
from nas.searching.problem import LOOKUP_SECONDS, Constraint, Floats, Problem, answers
from nas.space.space import Matrix, Space

_STARTS = 8
_WEIGHTINGS = 16
_SWEEPS = 12
_MARGIN = 0.01
"""Constraints on learned metrics are refused only if violated by this share of their values."""

Violations = Callable[[Matrix], Floats]
"""Returns the violation of each constraint relative to its value, shape (rows, constraints).

It is 0 or less where the constraint is satisfied.
"""


def check_constraints(problem: Problem, *, seed: int = 0) -> None:
    """Refuse constraints that no architecture of the space satisfies, each alone and all together.

    Only metrics that are looked up are tried, by coordinate descent from random architectures:
    exact where a metric is a sum over stages, as costs and latencies are; for a learned accuracy
    it is the best found. Constraints contradict each other where even a weighted sum of their
    violations stays above zero; those that are only hard to satisfy together are left to the
    search.

    Raises:
        Unreachable: naming the constraint and the nearest value that can be reached.
    """
    rng = np.random.default_rng(seed)
    quick = [e for e in problem.evaluators if e.seconds <= LOOKUP_SECONDS]
    known = {metric for evaluator in quick for metric in evaluator.provides}
    constraints = [constraint for constraint in problem.limits if constraint.metric in known]
    for constraint in constraints:
        _check_alone(problem, constraint, rng)
    if len(constraints) > 1:
        _check_together(problem, constraints, rng)


def _check_alone(problem: Problem, constraint: Constraint, rng: np.random.Generator) -> None:
    violations, space = _violations(problem, [constraint]), problem.space
    rows = space.sample_matrix(rng, _STARTS)
    rows = _descend(space, violations, rows, np.ones((len(rows), 1)))
    violation = violations(rows)[:, 0]
    if violation.min() > 0:
        value = _values(problem, constraint, rows[[violation.argmin()]])[0]
        bound = "at least" if constraint.at_most else "at most"
        raise Unreachable(
            f"constraint {constraint} cannot be satisfied: {constraint.metric} in space "
            f"{space.name} is {bound} {_outwards(float(value), up=constraint.at_most)}"
        )


def _outwards(value: float, *, up: bool) -> str:
    """Return `value` as text, rounded so that it can be satisfied as a constraint."""
    if value == int(value):
        return str(int(value))
    unit = 10.0 ** (floor(log10(abs(value))) - 5)
    return f"{(ceil(value / unit) if up else floor(value / unit)) * unit:.10g}"


def _check_together(
    problem: Problem, constraints: Sequence[Constraint], rng: np.random.Generator
) -> None:
    violations, space = _violations(problem, constraints), problem.space
    weights = 10.0 ** rng.uniform(-2, 2, (_WEIGHTINGS, len(constraints)))
    weights = np.repeat(weights / weights.sum(axis=1, keepdims=True), _STARTS // 4, axis=0)
    rows = _descend(space, violations, space.sample_matrix(rng, len(weights)), weights)
    found = violations(rows)
    least = (found * weights).sum(axis=1).reshape(_WEIGHTINGS, -1).min(axis=1)
    exact = {metric for evaluator in problem.free for metric in evaluator.provides}
    margin = 0.0 if all(constraint.metric in exact for constraint in constraints) else _MARGIN
    if (found <= 0).all(axis=1).any() or least.max() <= margin:
        return
    nearest = rows[[np.maximum(found, 0).sum(axis=1).argmin()]]
    values = [f"{c.metric} {_values(problem, c, nearest)[0]:.6g}" for c in constraints]
    raise Unreachable(
        f"constraints {', '.join(map(str, constraints))} contradict each other in space "
        f"{space.name}: each can be satisfied, but not all; the nearest found has "
        f"{', '.join(values)}"
    )


def _descend(space: Space, violations: Violations, rows: Matrix, weights: Floats) -> Matrix:
    """Return `rows` with every pick, one after the other, set to the best of its values.

    The best has the least sum of violations times `weights`, shape (rows, constraints). Ends as
    soon as a row satisfies all constraints.
    """
    best, lines = (violations(rows) * weights).sum(axis=1), np.arange(len(rows))
    for _ in range(_SWEEPS):
        before = best.copy()
        for column, width in enumerate(space.widths):
            tried = np.repeat(rows[None], width, axis=0)
            tried[:, :, column] = np.arange(width, dtype=np.uint8)[:, None]
            found = violations(space.canonical(tried.reshape(-1, len(space.widths))))
            found = found.reshape(width, len(rows), -1)
            sums = (found * weights).sum(axis=2)
            chosen = sums.argmin(axis=0)
            better = sums[chosen, lines] < best - 1e-12
            rows, best = rows.copy(), np.where(better, sums[chosen, lines], best)
            rows[better] = tried[chosen, lines][better]
            if (found[chosen, lines] <= 0).all(axis=1)[better].any():
                return space.canonical(rows)
        if (best == before).all():
            break
    return space.canonical(rows)


def _violations(problem: Problem, constraints: Sequence[Constraint]) -> Violations:
    def violations(rows: Matrix) -> Floats:
        columns = [c.excess(_values(problem, c, rows)) / c.scale for c in constraints]
        return np.stack(columns, axis=1)

    return violations


def _values(problem: Problem, constraint: Constraint, rows: Matrix) -> Floats:
    evaluator = next(e for e in problem.evaluators if constraint.metric in e.provides)
    return answers(evaluator, problem.candidates(rows)).metrics[constraint.metric]
