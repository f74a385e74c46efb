"""Optuna's CMA-ES on one number: the reward, or else the first objective that is expensive."""

from optuna.samplers import CmaEsSampler

from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, require, sampler_of


def create(problem: Problem, *, seed: int) -> OptunaStrategy:
    """Return the strategy for one search."""
    require("cmaes", wanted_by="strategy cmaes")
    sampler = sampler_of(lambda: CmaEsSampler(seed=seed))
    return OptunaStrategy(problem, sampler, scalar=True, batch=10)
