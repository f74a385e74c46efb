"""Run strategies on a problem in memory, and measure their fronts against a reference."""

import platform
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core import plugins
from nas.core.machine import cpu_name
from nas.core.plugins import Plugin
from nas.searching.evaluate import evaluate
from nas.searching.journal import NoJournal
from nas.searching.pareto import hypervolume, non_dominated
from nas.searching.problem import Problem, Trials
from nas.searching.session import Session

Floats = NDArray[np.float64]


def run(problem: Problem, strategy: str, trials: int, seed: int) -> Trials:
    """Return the trials of one search."""
    made = plugins.create("strategies", Plugin.parse(strategy), problem, seed=seed)
    session = Session(problem, made, NoJournal(), header={})
    while len(session) < trials and session.step(min(made.batch, trials - len(session))):
        pass
    return session.trials


def scores(problem: Problem, trials: Trials) -> Floats:
    """Return the objectives of the trials that keep the limits, all to be minimised."""
    return problem.scores(trials.metrics)[trials.ok]


def reference_front(problem: Problem, *, evaluations: int, each: int = 100_000) -> Floats:
    """Return the merged front of long searches of `each` evaluations, sorted by accuracy."""
    front = np.zeros((0, len(problem.objectives)))
    for seed in range(1000, 1000 + max(1, evaluations // each)):
        found = scores(problem, run(problem, "archive", min(each, evaluations), seed))
        front = np.concatenate([front, found])
        front = front[non_dominated(front)]
    return front[np.argsort(front[:, 0])]


def reference_points(problem: Problem, front: Floats) -> dict[str, Floats]:
    """Return reference points for the hypervolume, under which random search has a middling share.

    "usual" is the accuracy that 95 % of random architectures reach, at the slowest allowed.
    """
    rows = problem.space.sample_matrix(np.random.default_rng(0), 10_000)
    trials = evaluate(problem, rows)
    scores = problem.scores(trials.metrics)[trials.ok]
    slowest = max(front[:, 1].max(), scores[:, 1].max())
    return {
        "usual": np.array([np.percentile(scores[:, 0], 95), slowest]),
        "wide": np.array([front[:, 0].max(), slowest]),
        "narrow": np.array([np.percentile(scores[:, 0], 50), slowest]),
    }


def share(problem: Problem, trials: Trials, front: Floats) -> float:
    """Return the share of the reference front's hypervolume that `trials` dominate."""
    point = reference_points(problem, front)["usual"]
    return hypervolume(scores(problem, trials), point) / hypervolume(front, point)


def circumstances(
    seconds: float, packages: Sequence[str] = ("numpy", "optuna", "scikit-learn")
) -> dict[str, Any]:
    """Return where and when a result was made."""
    return {
        "seconds": round(seconds),
        "date": date.today().isoformat(),
        "processor": cpu_name(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }
