"""Our strategies as samplers of Optuna, and our problems as its objectives."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.core.errors import NasError
from nas.integrations.ask_tell import AskTell
from nas.integrations.parameters import Parameters, of_space, of_values, steps
from nas.integrations.problems import evaluate_point
from nas.searching.problem import Problem
from nas.space.space import Space

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_DIRECTIONS = {StudyDirection.MINIMIZE: "min", StudyDirection.MAXIMIZE: "max"}


class Sampler(BaseSampler):
    """Proposes the candidates of one of our strategies, for one or several objectives.

    It is told all finished trials of the study, including those of other processes and samplers.
    The parameters are those of `space`, or else those that all finished trials have in common; all
    others, and the first trial, are drawn at random. Ranges of numbers are searched in 64 steps. In
    a study of one objective, a pruned trial counts with its last intermediate value.

    Example:
        >>> study = optuna.create_study(sampler=Sampler("guided", seed=0))
        >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=5)
    """

    def __init__(
        self,
        strategy: str = "guided",
        *,
        space: Space | Mapping[str, BaseDistribution] | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare `strategy`, with its options as on the command line, for a study."""
        self._strategy, self._seed = strategy, seed
        self._space = space if isinstance(space, Space) else None
        named = distributions(space) if isinstance(space, Space) else space
        self._given = None if named is None else dict(named)
        self._common = IntersectionSearchSpace()
        self._random = RandomSampler(seed)
        self._ask_tell: AskTell | None = None
        self._searched: dict[str, BaseDistribution] = {}
        self._told: set[int] = set()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that the strategy chooses."""
        return self._common.calculate(study) if self._given is None else self._given

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values that the strategy proposes; none if there is nothing to choose."""
        known = {name: values_of(d) for name, d in search_space.items()}
        single = {name: values[0] for name, values in known.items() if len(values) == 1}
        if len(single) == len(known):
            return single
        if self._ask_tell is None or search_space != self._searched:
            parameters = of_space(self._space) if self._space else of_values(known)
            self._begin(study, parameters, search_space)
        assert self._ask_tell is not None
        self._tell(study, self._ask_tell)
        return {**single, **(self._ask_tell.ask() or {})}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value of a parameter that not all trials have."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _begin(
        self, study: Study, parameters: Parameters, searched: dict[str, BaseDistribution]
    ) -> None:
        named = {f"value_{i}": _DIRECTIONS[d] for i, d in enumerate(study.directions)}
        self._ask_tell = AskTell(parameters, named, strategy=self._strategy, seed=self._seed)
        self._searched, self._told = searched, set()

    def _tell(self, study: Study, ask_tell: AskTell) -> None:
        """Tell the trials that finished since the last call, in order."""
        for trial in study.get_trials(deepcopy=False, states=_FINISHED):
            if trial.number in self._told:
                continue
            self._told.add(trial.number)
            if ask_tell.parameters.values.keys() <= trial.params.keys():
                values = {f"value_{i}": v for i, v in enumerate(_values(trial))}
                ask_tell.tell(trial.params, values)


def _values(trial: FrozenTrial) -> Sequence[float]:
    """Return the values of a trial; the last one if it was pruned, none if it failed."""
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return [trial.intermediate_values[max(trial.intermediate_values)]]
    return trial.values or ()


def values_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Return the values of a parameter that a strategy chooses from.

    Raises:
        NasError: if it is of an unknown kind.
    """
    match distribution:
        case CategoricalDistribution(choices=choices):
            return tuple(choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return tuple(int(value) for value in steps(low, high, step=step, log=log))
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return steps(low, high, step=step or 0.0, log=log)
    raise NasError(f"no way to choose from {distribution}")


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the choices of a search space as parameters of a study."""
    return {column.name: CategoricalDistribution(column.values) for column in space.columns}


def directions(problem: Problem) -> list[str]:
    """Return the directions of a study for `problem`: "minimize" or "maximize" each."""
    return [f"{objective.direction}imize" for objective in problem.objectives]


def objective(problem: Problem) -> Callable[[Trial], tuple[float, ...]]:
    """Return the objective of a study for `problem`, whose choices become its parameters.

    Constraints of the problem become constraints of the trial, and its other metrics attributes. A
    trial that violates a constraint is pruned before any expensive evaluation.
    """

    def evaluated(trial: Trial) -> tuple[float, ...]:
        space = distributions(problem.space)
        point = evaluate_point(
            problem,
            {n: trial.suggest_categorical(n, d.choices) for n, d in space.items()},  # type: ignore[attr-defined]  # all are categorical
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            for name, excess in point.excess.items():
                trial.set_constraint(name, excess)
        for name, value in point.metrics.items():
            trial.set_user_attr(name, value)
        if point.values is None:
            raise optuna.TrialPruned(", ".join(n for n, e in point.excess.items() if e > 0))
        return tuple(point.values.values())

    return evaluated
