"""The arithmetic of the policy gradient, and learned policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from nas.core.errors import NasError
from nas.core.plugins import Plugin, create
from nas.searching.evaluate import evaluate
from nas.searching.evaluators.costs import create as create_costs
from nas.searching.problem import Candidates, Constraint, Metrics, Objective, Problem
from nas.searching.strategies.reinforce import Policies, Reinforce
from nas.space.file import load_space
from nas.space.space import Matrix, Space

SPACE = load_space("mnasnet_b0")


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Returns the sum of all picks plus `shift` as the accuracy."""

    shift: float = 0.0
    fails_above: float = 2.0
    provides: tuple[str, ...] = ("score",)
    seconds: float = 1.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Metrics:
        means = mean_pick(candidates.picks)
        if (means > self.fails_above).any():
            raise RuntimeError("out of memory")
        return {"score": means + self.shift}

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}


def mean_pick(rows: Matrix) -> np.ndarray:
    return np.asarray(rows.mean(axis=1) / SPACE.widths.mean())


def problem_of(
    *objectives: str, evaluator: Sum | None = None, limits: Sequence[str] = (), space: Space = SPACE
) -> Problem:
    return Problem(
        space=space,
        evaluators=(create_costs(space), evaluator or Sum()),
        objectives=tuple(Objective.parse(o) for o in objectives),
        limits=tuple(Constraint.parse(text) for text in limits),
    )


def made(problem: Problem, options: str = "") -> Reinforce:
    strategy: Reinforce = create("strategies", Plugin.parse(f"reinforce{options}"), problem, seed=4)
    return strategy


def asked(problem: Problem, trials: int, options: str = "") -> Matrix:
    strategy, rows = made(problem, options), []
    for _ in range(trials // 10):
        rows.append(strategy.ask(10))
        strategy.tell(evaluate(problem, rows[-1]))
    return np.concatenate(rows)


def some_policies(space: Space, count: int = 2) -> Policies:
    policies = Policies(space, count)
    policies.step(np.random.default_rng(0).normal(size=policies.logits.shape))
    return policies


def test_probabilities_add_up_over_the_values_that_exist(tiny: Space) -> None:
    policies = some_policies(tiny)
    probabilities = policies.probabilities()
    assert probabilities.sum(axis=2) == pytest.approx(np.ones((2, len(tiny.columns))))
    for column, width in enumerate(tiny.widths):
        assert not probabilities[:, column, width:].any()


def test_rows_are_drawn_with_the_stated_probabilities(tiny: Space, all_rows: Matrix) -> None:
    policies = some_policies(tiny, 1)
    likely = np.exp(policies.log_likelihood(all_rows)[0])
    assert likely.sum() == pytest.approx(1)
    drawn = policies.sample(40_000, 1.0, np.random.default_rng(1))
    top = likely.argsort()[-5:]
    for place in top:
        share = (drawn == all_rows[place]).all(axis=1).mean()
        assert share == pytest.approx(likely[place], rel=0.25)


def test_the_gradient_is_that_of_the_log_likelihood(tiny: Space) -> None:
    policies = some_policies(tiny)
    rows = tiny.sample_matrix(np.random.default_rng(2), 6)
    weights = np.random.default_rng(3).normal(size=(2, 6))
    gradient = policies.gradient(rows, weights)
    for place in np.argwhere(np.isfinite(policies.logits)):
        change = np.zeros(policies.logits.shape)
        change[tuple(place)] = 1e-5
        policies.step(change)
        above = (weights * policies.log_likelihood(rows)).sum()
        policies.step(-2 * change)
        below = (weights * policies.log_likelihood(rows)).sum()
        policies.step(change)
        assert (above - below) / 2e-5 == pytest.approx(gradient[tuple(place)], abs=1e-4)


def test_entropy_is_raised_along_its_gradient(tiny: Space) -> None:
    def entropy(policies: Policies) -> float:
        found = policies.probabilities()
        return float(-(found * np.log(np.maximum(found, 1e-300))).sum())

    policies = some_policies(tiny)
    before, gradient = entropy(policies), policies.entropy_gradient()
    policies.step(1e-4 * gradient)
    assert (entropy(policies) - before) / 1e-4 == pytest.approx((gradient**2).sum(), rel=0.01)
    level = Policies(tiny, 1)
    assert level.entropy_gradient() == pytest.approx(np.zeros(level.logits.shape), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_it_climbs_also_where_values_are_below_zero(shift: float) -> None:
    problem = problem_of("max:score", evaluator=Sum(shift=shift))
    rows = asked(problem, 300)
    assert mean_pick(rows[-50:]).mean() > mean_pick(rows[:50]).mean() + 0.1


def test_its_policies_spread_over_the_front() -> None:
    problem = problem_of("max:score", "macs")
    macs = problem.known(asked(problem, 400)[-100:])["macs"]
    drawn = problem.known(SPACE.sample_matrix(np.random.default_rng(0), 1000))["macs"]
    assert np.percentile(macs, 10) < np.percentile(drawn, 5)
    assert np.percentile(macs, 90) > np.percentile(drawn, 80)


def test_the_exponents_lie_around_w_for_every_cost() -> None:
    found = made(problem_of("macs", "max:score", "params"), ":w=0.1,policies=5")._exponents
    assert found.shape == (5, 3)
    assert found[:, 1].tolist() == [1] * 5
    for cost in (0, 2):
        assert np.sort(found[:, cost])[[0, 2, 4]] == pytest.approx([0.1 / 7, 0.1, 0.7])
    one = made(problem_of("max:score", "macs"), ":w=0.1,policies=1")._exponents
    assert one.tolist() == [[1, 0.1]]
    assert made(problem_of("macs"))._exponents.tolist() == [[1]]


def test_trials_count_alike_told_at_once_or_one_by_one() -> None:
    problem = problem_of("max:score", "macs")
    at_once, one_by_one = made(problem), made(problem)
    trials = evaluate(problem, SPACE.sample_matrix(np.random.default_rng(1), 35))
    at_once.tell(trials)
    for row in trials.picks:
        one_by_one.tell(evaluate(problem, row[None]))
    assert np.array_equal(at_once.ask(20), one_by_one.ask(20))


def test_failures_are_told_as_the_worst() -> None:
    problem = problem_of("max:score", evaluator=Sum(fails_above=0.45))
    rows = asked(problem, 400)
    assert (mean_pick(rows[-100:]) > 0.45).mean() < 0.5
    strategy = made(problem)
    strategy.tell(evaluate(problem, rows[:100]))
    rewards = strategy._rewards(slice(0, 100))
    failed = strategy._failed
    assert failed.any()
    assert (rewards[:, failed] == rewards.min()).all()


def test_a_violated_constraint_costs_reward() -> None:
    problem = problem_of("max:score", limits=["score<=0.4"])
    assert mean_pick(asked(problem, 400)[-100:]).mean() < 0.45


@pytest.mark.parametrize("options", ["w=0", "policies=0", "learning_rate=-1", "entropy=-1"])
def test_options_out_of_range_are_refused(options: str) -> None:
    with pytest.raises(NasError, match="strategy reinforce needs"):
        made(problem_of("max:score"), f":{options}")
