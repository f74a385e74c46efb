"""The journal of a run as an Optuna study."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError, RunError, first_line, missing_package
from nas.core.files import atomic_path
from nas.searching.pareto import non_dominated
from nas.searching.problem import FAILED, STOPPED
from nas.searching.runs.folder import CONFIG
from nas.searching.runs.stored import StoredRun, read_run

Rows = NDArray[np.int64]
"""Numbers of trials."""

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


def to_study(out: Path, storage: str, *, name: str, most: int = 0) -> int:
    """Write the trials of a run folder into a new Optuna study; return how many that are.

    With `most` above 0 these are all of the front, and so many at even distances among all: a
    dashboard takes minutes to load 10,000. The user attribute `trial` is the number in the run.

    `storage` is the path of a new Optuna journal file, or the URL of a database, which takes
    Optuna some hundredths of a second per trial. Objectives keep their direction; constraints
    are positive where violated; other metrics become user attributes.

    Raises:
        NasError: if the folder is no run, the storage cannot be opened, or the study exists.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="a study") from None
    run = read_run(out)
    if not run.objectives:
        raise RunError(f"{out / CONFIG} names no objective; finish the search first")
    rows = _chosen(run, most)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" in storage:
        _fill(run, rows, storage, name=name, where=storage)
    else:
        _fill_file(run, rows, Path(storage), name=name)
    return len(rows)


def _chosen(run: StoredRun, most: int) -> Rows:
    """Return the numbers of the trials to write, in their order."""
    trials, count = run.trials, len(run.trials)
    if not 0 < most < count:
        return np.arange(count)
    ok = np.flatnonzero(trials.ok)
    scores = np.stack([o.sign * trials.metrics[o.metric][ok] for o in run.objectives], axis=1)
    spread = np.linspace(0, count - 1, most).round().astype(np.int64)
    return np.union1d(ok[non_dominated(scores)], spread)


def _fill_file(run: StoredRun, rows: Rows, path: Path, *, name: str) -> None:
    """Write a study into a journal file, at once: it is built in memory first."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

    class Memory(BaseJournalBackend):
        """Keeps the records of a journal in a list."""

        def __init__(self) -> None:
            self.records: list[dict[str, Any]] = []

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            return iter(self.records[log_number_from:])

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            self.records.extend(logs)

    if not path.name or path.exists():
        raise NasError(f"cannot open storage {path}: it exists already; give another `storage`")
    memory = Memory()
    _fill(run, rows, JournalStorage(memory), name=name, where=str(path))
    try:
        with atomic_path(path) as temporary:
            JournalFileBackend(str(temporary)).append_logs(memory.records)
    except OSError as error:
        raise NasError(f"cannot open storage {path}: {error.strerror or error}") from None


def _fill(
    run: StoredRun, rows: Rows, storage: "str | BaseStorage", *, name: str, where: str
) -> None:
    """Create the study and give it the trials."""
    import optuna
    from optuna.distributions import CategoricalDistribution

    directions: list[Literal["minimize", "maximize"]] = [
        "minimize" if o.sign > 0 else "maximize" for o in run.objectives
    ]
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    except optuna.exceptions.DuplicatedStudyError:
        raise NasError(f"{where} has a study {name!r} already; give another `name`") from None
    except Exception as error:  # whatever the storage's driver raises for a bad URL or file
        raise NasError(f"cannot open storage {where}: {first_line(error)}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls names of metrics experimental
        study.set_metric_names([o.metric for o in run.objectives])
    kinds = {n: CategoricalDistribution(values) for n, values in run.space.choices.items()}
    study.add_trials([_frozen(run, i, kinds) for i in rows.tolist()])


def _frozen(
    run: StoredRun, i: int, kinds: "Mapping[str, CategoricalDistribution]"
) -> "FrozenTrial":
    """Return one trial as Optuna keeps it; infeasible ones without values count as pruned."""
    from optuna.trial import TrialState, create_trial

    trials = run.trials
    metrics = {name: float(values[i]) for name, values in trials.metrics.items()}
    values = [metrics[o.metric] for o in run.objectives]
    complete = trials.status[i] not in (FAILED, STOPPED) and bool(np.isfinite(values).all())
    broken = TrialState.FAIL if trials.status[i] == FAILED else TrialState.PRUNED
    picks = run.space.unpack(trials.picks[i])
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    return create_trial(
        state=TrialState.COMPLETE if complete else broken,
        values=values if complete else None,
        params=dict(picks),
        distributions={name: kinds[name] for name in picks},
        user_attrs={
            **known,
            "trial": trials.first + i,
            "error": trials.errors.get(trials.first + i, ""),
        },
        constraints={
            str(c): float(c.excess(np.array(known[c.metric])))
            for c in run.constraints
            if c.metric in known
        },
    )
