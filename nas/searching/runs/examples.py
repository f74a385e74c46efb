"""Trials of run folders, as examples to learn an accuracy model from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas.accuracy.examples import Examples
from nas.accuracy.predictor import METRICS
from nas.core.data import exists, is_path
from nas.core.errors import RunError
from nas.core.storage import Place
from nas.searching.journal import JOURNAL
from nas.searching.problem import concatenate
from nas.searching.runs.stored import StoredRun, read_run
from nas.searching.stored_space import SPACE


def read_examples(runs: Sequence[Place | Path | str]) -> Examples:
    """Return the trials with status "ok" of run folders that measured the same thing.

    Trials that were stopped early have estimates and do not count, nor do failed and infeasible
    ones, nor those in int8 where fp32 was searched as well. What the runs' evaluators need (images,
    torch) need not be there.

    Raises:
        RunError: if a folder is no run, is damaged, or measured another space, metric or evaluator
            than the first one; it says which.
        NasError: if there are too few trials; see `Examples`.
    """
    places = [out if isinstance(out, Place) else Place(out) for out in runs]
    found = [read_run(place) for place in dict.fromkeys(places)]
    first, *others = [_identity(run) for run in found]
    for run, other in zip(found[1:], others, strict=True):
        for what, a in first.items():
            if a != other[what]:
                raise RunError(
                    f"{found[0].out} and {run.out} do not mix: their {what} is {a!r} and "
                    f"{other[what]!r}; fit a model to each"
                )
    space, metric = found[0].space, first["metric"]
    trials = concatenate([run.trials for run in found], len(space.columns))
    values = trials.metrics[metric]
    rows, int8 = space.split(trials.picks)
    good = trials.ok & np.isfinite(values)
    if int8 is not None and space.dtypes[1:]:
        good &= ~int8  # the model is one of float networks
    picks, which = np.unique(rows[good], axis=0, return_inverse=True)
    which = which.ravel()
    accuracy = np.bincount(which, values[good], len(picks)) / np.bincount(which, None, len(picks))
    many = f" of {len(found)} runs" if others else ""
    return Examples(
        space=space.plain,
        picks=picks,
        accuracy=accuracy,
        metric=metric,
        source=f"{len(picks)} trials{many} by {first['evaluator']}",
    )


def _named(run: StoredRun) -> str:
    """Return what names the space of a run now: a bundled name, a file, or that in the run."""
    name = run.config.space
    if is_path(name):
        return name if exists(Path(name)) else str(run.out / SPACE)
    return run.space.name


def _identity(run: StoredRun) -> Mapping[str, str]:
    """Return what must agree between runs."""
    try:
        # `nas.searching.setup.prepare` puts the evaluator of accuracy last
        header = run.records[0]
        choices, evaluator = str(header["choices"]), str(header["evaluators"][-1])
    except (KeyError, IndexError, TypeError):
        raise RunError(f"{run.out / JOURNAL}, line 1: no header of a search") from None
    if choices != run.space.fingerprint:
        raise RunError(
            f"{run.out} searched another version of space {run.config.space}; bring that one"
        )
    metrics = run.trials.metrics
    metric = next((name for name in METRICS if name in metrics), None)
    if metric is None:
        there = ", ".join(metrics) or "no metrics"
        raise RunError(f"{run.out} has no {' or '.join(METRICS)}; its trials have {there}")
    return {
        "space": _named(run),
        "choices": choices,
        "evaluator": evaluator,
        "dtype": run.config.dtype,
        "metric": metric,
    }
