"""Optuna's Gaussian process sampler; needs torch and takes seconds from some 100 trials on."""

from optuna.samplers import GPSampler

from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, require, sampler_of


def create(problem: Problem, *, seed: int) -> OptunaStrategy:
    """Return the strategy for one search."""
    require("torch", wanted_by="strategy gp")
    sampler = sampler_of(lambda: GPSampler(seed=seed))
    return OptunaStrategy(problem, sampler, batch=1)
