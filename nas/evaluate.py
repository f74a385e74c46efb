"""Evaluate candidates: limits first, dear evaluators last, failures one by one."""

import time

import numpy as np
from numpy.typing import NDArray

from nas.problem import (
    FAILED,
    INFEASIBLE,
    OK,
    STATUS_TYPE,
    Candidates,
    Evaluator,
    Floats,
    Metrics,
    Problem,
    Trials,
)
from nas.space import Matrix


def evaluate(problem: Problem, picks: Matrix, *, first: int = 0) -> Trials:
    """Return the trials of `picks`, numbered from `first`.

    The free evaluators answer for all candidates; the others only for those that still keep every
    limit. An evaluator that raises fails the candidates it raises for, and no others.
    """
    started = time.perf_counter()
    metrics: dict[str, Floats] = {}
    errors: dict[int, str] = {}
    keeps = np.ones(len(picks), dtype=bool)
    for evaluator in (*problem.free, *problem.dear):
        asked = np.ones(len(picks), dtype=bool) if evaluator.seconds == 0 else keeps.copy()
        asked[list(errors)] = False
        answers, failures = _answers(evaluator, problem, picks, asked)
        metrics |= answers
        errors |= failures
        keeps &= problem.keeps_limits(answers, len(picks)) | ~asked
    if problem.reward:
        metrics["reward"] = problem.reward(metrics)
        keeps &= problem.keeps_limits({"reward": metrics["reward"]}, len(picks))
    return Trials(
        first=first,
        picks=picks,
        metrics=metrics,
        status=_status(problem, metrics, keeps, errors),
        seconds=time.perf_counter() - started,
        errors={first + i: text for i, text in errors.items()},
    )


def _status(
    problem: Problem, metrics: Metrics, keeps: NDArray[np.bool_], errors: dict[int, str]
) -> NDArray[np.str_]:
    for i in np.flatnonzero(keeps & ~np.isfinite(problem.scores(metrics)).all(axis=1)):
        errors.setdefault(int(i), "an objective came out as no finite number")
    status = np.where(keeps, OK, INFEASIBLE).astype(STATUS_TYPE)
    status[list(errors)] = FAILED
    return status


def _answers(
    evaluator: Evaluator, problem: Problem, picks: Matrix, asked: NDArray[np.bool_]
) -> tuple[Metrics, dict[int, str]]:
    """Return the evaluator's metrics, NaN where it was not asked or failed, and its failures."""
    answers = {name: np.full(len(picks), np.nan) for name in evaluator.provides}
    failures: dict[int, str] = {}
    waiting = [np.flatnonzero(asked)] if asked.any() else []
    while waiting:
        rows = waiting.pop()
        try:
            part = evaluator(Candidates(space=problem.space, picks=picks[rows]))
            for name in evaluator.provides:
                answers[name][rows] = part[name]
        except Exception as error:  # whatever an evaluator raises is the trial's error, not ours
            if len(rows) > 1:
                waiting += [rows[i : i + 1] for i in range(len(rows))]
            else:
                failures[int(rows[0])] = f"{type(error).__name__}: {error}"
    return answers, failures
