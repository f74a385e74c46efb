"""Any other Optuna sampler by its dotted path, as in sampler=optuna.samplers.QMCSampler."""

import importlib
import inspect
from typing import Any

from optuna.samplers import BaseSampler

from nas.core.errors import NasError
from nas.core.plugins import check_allowed
from nas.searching.problem import Problem
from nas.searching.strategies._optuna import OptunaStrategy, sampler_of


def create(
    problem: Problem,
    *,
    seed: int,
    sampler: str = "optuna.samplers.RandomSampler",
    scalar: bool = False,
) -> OptunaStrategy:
    """Return the strategy for one search; `scalar` is for samplers that know one objective only.

    Raises:
        NasError: if there is no such sampler, or it cannot be made from a seed alone.
    """
    kind = _class_at(sampler)
    named = {"seed": seed} if "seed" in inspect.signature(kind).parameters else {}
    try:
        made = sampler_of(lambda: kind(**named))
    except TypeError as error:
        raise NasError(f"sampler {sampler} needs more than a seed: {error}") from None
    return OptunaStrategy(problem, made, scalar=scalar)


def _class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if module != "optuna.samplers":
        check_allowed(path, f"the sampler would run the Python module {module}")
    try:
        found = getattr(importlib.import_module(module), name)
        if not (isinstance(found, type) and issubclass(found, BaseSampler)):
            raise TypeError
        return found
    except (ImportError, ValueError, AttributeError, TypeError):
        raise NasError(
            f"no Optuna sampler at {path!r}; expected a dotted path such as "
            "optuna.samplers.QMCSampler"
        ) from None
