"""Optuna's samplers behind ask and tell.

Every choice is a parameter, active or not; rows are made canonical afterwards, so that different
parameters may give the same row, and a row may come twice: the session then answers from the
journal. Constraints are Optuna's. A trial without a value, because it violated a constraint before,
has the worst value so far. So has a failed one, in every objective, with the largest violation: a
sampler that is told nothing of a failure proposes it again and again.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial

from nas.core.errors import missing_package
from nas.searching.acquisition import violation
from nas.searching.problem import FAILED, INFEASIBLE, Floats, Problem, Trials
from nas.space.space import Matrix


class OptunaStrategy:
    """Asks one Optuna study, kept in memory.

    With `scalar`, for samplers that know one objective and no constraints, the value is the
    problem's reward; without one, the first objective that costs something to evaluate. An
    infeasible trial gets the worst value so far plus its violation.
    """

    def __init__(
        self, problem: Problem, sampler: BaseSampler, *, scalar: bool = False, batch: int = 10
    ) -> None:
        """Create the study."""
        self.batch = batch
        self._problem, self._scalar = problem, scalar
        self._distributions = _distributions(problem, ordered=scalar)
        self._pending: dict[bytes, list[Trial]] = {}
        self._failed: list[Trial] = []
        self._worst = np.full(1 if scalar else len(problem.objectives), -np.inf)
        self._worst_violation = 0.0
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [StudyDirection.MINIMIZE] * len(self._worst)
        self._study = optuna.create_study(sampler=sampler, directions=directions)

    def ask(self, count: int) -> Matrix:
        """Return `count` rows, which may repeat each other and earlier ones."""
        with _quiet():
            trials = [self._study.ask(self._distributions) for _ in range(count)]
        picks = [[trial.params[name] for name in self._distributions] for trial in trials]
        shape = (count, len(self._distributions))
        rows = self._problem.space.canonical(np.array(picks, dtype=np.uint8).reshape(shape))
        for row, trial in zip(rows, trials, strict=True):
            self._pending.setdefault(row.tobytes(), []).append(trial)
        return rows

    def tell(self, trials: Trials) -> None:
        """Tell the study; trials that it did not ask for are enqueued and asked first."""
        values = self._values(trials)
        failed = trials.status == FAILED
        self._worst = np.fmax(self._worst, np.fmax.reduce(values[~failed], axis=0, initial=-np.inf))
        violations = violation(self._problem, trials.metrics, len(trials))
        violations = np.where(trials.status == INFEASIBLE, np.maximum(violations, 1e-6), 0.0)
        self._worst_violation = max(self._worst_violation, violations.max(initial=0.0))
        with _quiet():
            for i, row in enumerate(trials.picks):
                trial = self._trial_of(row)
                if failed[i]:
                    self._failed.append(trial)
                else:
                    self._tell(trial, values[i], float(violations[i]))
            self._tell_failed()

    def _tell_failed(self) -> None:
        """Tell what failed as the worst, once it is known how bad results can be."""
        if not np.isfinite(self._worst).all():
            return
        nothing = np.full(len(self._worst), np.nan)
        for trial in self._failed:
            self._tell(trial, nothing, self._worst_violation or float(bool(self._problem.limits)))
        self._failed.clear()

    def _tell(self, trial: Trial, values: Floats, violated: float) -> None:
        """Tell `values`, NaN where they are unknown, and the violation of a trial."""
        worst = np.where(np.isfinite(self._worst), self._worst, 0.0)
        told = np.where(np.isfinite(values), values, worst)
        if self._scalar and violated:
            told = worst + violated * np.maximum(np.abs(worst), 1.0)
        elif self._problem.limits and not self._scalar:
            trial.set_constraint("constraints", violated)
        self._study.tell(trial, told.tolist())

    def _trial_of(self, row: Matrix) -> Trial:
        waiting = self._pending.get(row.tobytes())
        if waiting:
            return waiting.pop(0)
        self._study.enqueue_trial(dict(zip(self._distributions, row.tolist(), strict=True)))
        return self._study.ask(self._distributions)

    def _values(self, trials: Trials) -> Floats:
        """Return what the study minimises, shape (n, values)."""
        problem, metrics = self._problem, trials.metrics
        if not self._scalar:
            return problem.scores(metrics)
        if problem.reward:
            return -metrics["reward"][:, None]
        learned = (i for i, o in enumerate(problem.objectives) if o.metric in problem.learned)
        number = next(learned, 0)
        return problem.scores(metrics)[:, number : number + 1]


def sampler_of(make: Callable[[], BaseSampler]) -> BaseSampler:
    """Return `make()`, without Optuna's warning that a sampler is experimental.

    Raises:
        MissingPackage: if the sampler needs a package that is not installed.
    """
    try:
        with _quiet():
            return make()
    except ImportError as error:
        raise _missing(error) from None


def require(package: str, *, wanted_by: str) -> None:
    """Raise the error that says what to install where `package` is not."""
    if importlib.util.find_spec(package) is None:
        error = ModuleNotFoundError(f"No module named {package!r}", name=package)
        raise missing_package(error, wanted_by=wanted_by)


def _missing(error: ImportError) -> Exception:
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error, wanted_by="this Optuna sampler")
    return error


def _distributions(problem: Problem, *, ordered: bool) -> dict[str, BaseDistribution]:
    """Return a parameter for every choice: its index, as a category unless `ordered`."""
    return {
        column.name: IntDistribution(0, len(column.values) - 1)
        if ordered
        else CategoricalDistribution(range(len(column.values)))
        for column in problem.space.columns
    }


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
