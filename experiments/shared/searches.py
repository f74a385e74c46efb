"""Run strategies on a problem in memory, and measure their fronts against a reference."""

from collections.abc import Iterator, Sequence

import numpy as np

from nas.accuracy.predictor import Floats
from nas.core import plugins
from nas.core.plugins import Plugin
from nas.latency.file import load_table
from nas.network.zoo import load_architecture
from nas.searching.evaluate import evaluate
from nas.searching.evaluators import costs, table
from nas.searching.journal import NullJournal
from nas.searching.pareto import hypervolume, non_dominated
from nas.searching.problem import Constraint, Evaluator, Objective, Problem, Strategy, Trials
from nas.searching.session import Session
from nas.space.space import Space


def b0_ms() -> float:
    """Return the latency of EfficientNet-B0 that the table `pixel1` predicts."""
    return load_table("pixel1").predict(load_architecture("efficientnet_b0")).ms


def problem_on_pixel1(space: Space, evaluator: Evaluator, limit_ms: float | None) -> Problem:
    """Return the problem of accuracy, by `evaluator` or its bound, against latency on `pixel1`."""
    accuracy = getattr(evaluator, "guide", evaluator.provides[0])
    latency = table.create(space, table=load_table("pixel1"), allow_extrapolation=True)
    within = [] if limit_ms is None else [limit_ms + 1e-6]
    return Problem(
        space=space,
        evaluators=(costs.create(space), latency, evaluator),
        objectives=(Objective.parse(accuracy), Objective.parse("latency_ms")),
        limits=tuple(Constraint(metric="latency_ms", at_most=True, value=ms) for ms in within),
    )


def strategy(problem: Problem, text: str, seed: int) -> Strategy:
    """Return a strategy by its name and options."""
    made: Strategy = plugins.create("strategies", Plugin.parse(text), problem, seed=seed)
    return made


def run(problem: Problem, made: Strategy, trials: int) -> Trials:
    """Return the trials of one search."""
    session = Session(problem, made, NullJournal(), header={})
    while len(session) < trials and session.step(min(made.batch, trials - len(session))):
        pass
    return session.trials


def scores(problem: Problem, trials: Trials) -> Floats:
    """Return the objectives in order, all to be minimised; NaN where a constraint is violated."""
    return np.where(trials.ok[:, None], problem.scores(trials.metrics), np.nan)


def random_scores(problem: Problem) -> Floats:
    """Return the objectives of 10,000 random architectures, less those that violate constraints."""
    rows = problem.space.sample_matrix(np.random.default_rng(0), 10_000)
    trials = evaluate(problem, rows)
    return problem.scores(trials.metrics)[trials.ok]


def reference_fronts(
    problem: Problem, strategies: Sequence[str], *, searches: int, each: int
) -> Iterator[Floats]:
    """Yield the merged front after every one of several long searches, sorted by accuracy.

    They take `each` evaluations, by each of `strategies` in turn.
    """
    front = np.zeros((0, len(problem.objectives)))
    for number in range(searches):
        made = strategy(problem, strategies[number % len(strategies)], 1_000 + number)
        front = np.concatenate([front, scores(problem, run(problem, made, each))])
        front = front[non_dominated(front)]
        yield front[np.argsort(front[:, 0])]


def reference_points(problem: Problem, front: Floats) -> dict[str, Floats]:
    """Return reference points for the hypervolume, at which random search has a medium share.

    "usual" is the accuracy that 95 % of random architectures reach, at the slowest allowed.
    """
    drawn = random_scores(problem)
    slowest = max(front[:, 1].max(), drawn[:, 1].max())
    return {
        "usual": np.array([np.percentile(drawn[:, 0], 95), slowest]),
        "wide": np.array([front[:, 0].max(), slowest]),
        "narrow": np.array([np.percentile(drawn[:, 0], 50), slowest]),
    }


def share(found: Floats, front: Floats, point: Floats) -> float:
    """Return the share of the front's hypervolume up to `point` that `found` scores dominate."""
    return hypervolume(found, point) / hypervolume(front, point)
