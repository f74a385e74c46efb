"""Optuna's tree-structured Parzen estimator, for several objectives too."""

from optuna.samplers import TPESampler

from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, sampler_of


def create(problem: Problem, *, seed: int) -> OptunaStrategy:
    """Return the strategy for one search."""
    sampler = sampler_of(lambda: TPESampler(seed=seed))
    return OptunaStrategy(problem, sampler, batch=10)
