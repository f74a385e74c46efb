"""Our problems for other engines: functions from a point of a space to numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from nas.core.errors import NasError
from nas.integrations.parameters import of_space
from nas.searching.config import SearchConfig
from nas.searching.evaluate import evaluate
from nas.searching.objects import Settings, split_objects
from nas.searching.problem import FAILED, INFEASIBLE, Problem
from nas.searching.setup import prepare
from nas.space.space import Matrix


def make_problem(**settings: Unpack[Settings]) -> Problem:
    """Return the problem that `nas.search` would search with these settings.

    Raises:
        NasError: if a setting is wrong.
    """
    texts, objects = split_objects(settings)
    return prepare(replace(SearchConfig(), **texts), objects=objects).problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A point of a problem's space: its objectives, and its violations of constraints.

    `values` are None if a constraint is violated before an expensive evaluation. `excess` is by how
    much each constraint is violated, 0 or less if it is satisfied.
    """

    row: Matrix
    values: Mapping[str, float] | None
    excess: Mapping[str, float]
    metrics: Mapping[str, float]


def evaluate_point(problem: Problem, values: Mapping[str, Any]) -> Evaluation:
    """Evaluate one point of the space of `problem`, given a value for each choice.

    Raises:
        NasError: if the evaluation fails; it gives the reason.
    """
    row = of_space(problem.space).pack(values)
    trials = evaluate(problem, row[None])
    if trials.status[0] == FAILED:
        raise NasError(trials.errors[0])
    metrics = {name: float(found[0]) for name, found in trials.metrics.items()}
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    wanted = [objective.metric for objective in problem.objectives]
    complete = all(name in known for name in wanted)
    assert complete or trials.status[0] == INFEASIBLE
    return Evaluation(
        row=row,
        values={name: known[name] for name in wanted} if complete else None,
        excess={
            str(c): float(c.excess(trials.metrics[c.metric])[0])
            for c in problem.limits
            if c.metric in known
        },
        metrics=known,
    )
