"""Optuna's NSGA-II (Deb et al., 2002)."""

from optuna.samplers import NSGAIISampler

from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, sampler_of


def create(problem: Problem, *, seed: int, population: int = 24) -> OptunaStrategy:
    """Return the strategy for one search; `population` is of one generation."""
    sampler = sampler_of(lambda: NSGAIISampler(seed=seed, population_size=population))
    return OptunaStrategy(problem, sampler, batch=24)
