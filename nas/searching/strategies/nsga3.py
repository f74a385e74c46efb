"""Optuna's NSGA-III (Deb & Jain, 2014), for three objectives and more."""

from optuna.samplers import NSGAIIISampler

from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, sampler_of


def create(problem: Problem, *, seed: int, population: int = 24) -> OptunaStrategy:
    """Return the strategy for one search; `population` is of one generation."""
    sampler = sampler_of(lambda: NSGAIIISampler(seed=seed, population_size=population))
    return OptunaStrategy(problem, sampler, batch=24)
