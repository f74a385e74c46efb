"""Evaluate candidates: constraints first, expensive evaluators last, failures one by one."""

import time
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import RunError, typed_line
from nas.searching.metrics import plausible, possible
from nas.searching.problem import (
    FAILED,
    INFEASIBLE,
    OK,
    STATUS_TYPE,
    STOPPED,
    Answers,
    Evaluator,
    Floats,
    Problem,
    Trials,
    answers,
)
from nas.space.space import Matrix


def evaluate(problem: Problem, picks: Matrix, *, first: int = 0) -> Trials:
    """Return the trials of `picks`, numbered from `first`.

    The free evaluators are asked about all candidates, the others only about those that satisfy
    the constraints so far. An evaluator that raises fails the candidates it raises for, no others.

    Raises:
        RunError: if an evaluator cannot write its files, or does not return what it should.
    """
    started = time.perf_counter()
    found = _Evaluation(problem, picks)
    for evaluator in (*problem.free, *problem.expensive):
        found.ask(evaluator)
    if problem.reward:
        reward = {"reward": problem.reward(found.metrics)}
        found.metrics |= reward
        found.feasible &= problem.satisfies(reward, len(picks))
    return Trials(
        first=first,
        picks=picks,
        metrics=found.metrics,
        status=found.status(),
        seconds=time.perf_counter() - started,
        errors={first + i: text for i, text in found.errors.items()},
    )


@dataclass(slots=True)
class _Evaluation:
    """What is known so far of the candidates `picks`."""

    problem: Problem
    picks: Matrix
    metrics: dict[str, Floats] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    feasible: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.feasible = np.ones(len(self.picks), dtype=bool)

    def ask(self, evaluator: Evaluator) -> None:
        """Ask about all candidates if that is free, otherwise about the feasible ones."""
        count = len(self.picks)
        asked = np.ones(count, dtype=bool) if evaluator.seconds == 0 else self.feasible.copy()
        asked[[*self.errors, *self.stopped]] = False
        new = {name: np.full(count, np.nan) for name in evaluator.provides}
        waiting = [np.flatnonzero(asked)] if asked.any() else []
        while waiting:
            rows = waiting.pop()
            said = self._said(evaluator, rows)
            if said is None:
                waiting += [rows[i : i + 1] for i in range(len(rows))]
                continue
            self.errors |= {int(rows[i]): text for i, text in said.errors.items()}
            self.stopped |= {int(rows[i]) for i in said.stopped}
            for name, values in said.metrics.items():
                new[name][rows] = values
        self.metrics |= new
        self.feasible &= self.problem.satisfies(new, count) | ~asked

    def _said(self, evaluator: Evaluator, rows: NDArray[np.int64]) -> Answers | None:
        """Return the answers for some candidates, None where each must be asked about alone."""
        known = {name: values[rows] for name, values in self.metrics.items()}
        candidates = replace(
            self.problem.candidates(self.picks[rows]),
            known=known,
            score=lambda metrics: self.problem.scores_so_far({**known, **metrics}),
        )
        try:
            return answers(evaluator, candidates)
        except RunError:  # no files can be written, or a plugin is wrong: that ends the search
            raise
        except Exception as error:  # whatever an evaluator raises is the trial's error, not ours
            if len(rows) > 1:
                return None
            return Answers(metrics={}, errors={0: typed_line(error)})

    def status(self) -> NDArray[np.str_]:
        """Return the status of every candidate."""
        for objective in self.problem.objectives:
            values = self.metrics[objective.metric]
            for i in np.flatnonzero(self.feasible & ~plausible(objective.metric, values)):
                self.errors.setdefault(int(i), _implausible(objective.metric, float(values[i])))
        status = np.where(self.feasible, OK, INFEASIBLE).astype(STATUS_TYPE)
        status[[i for i in self.stopped if self.feasible[i]]] = STOPPED
        status[list(self.errors)] = FAILED
        return status


def _implausible(metric: str, value: float) -> str:
    """Return the error for a value that an objective cannot have."""
    if isfinite(value):
        return f"{metric} came out as {value:g}; it must be {possible(metric)}"
    return "an objective came out as no finite number"
