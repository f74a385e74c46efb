"""Trials of run folders, as examples to learn an accuracy model from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.accuracy.examples import Examples
from nas.accuracy.predictor import METRICS
from nas.core.errors import RunError
from nas.core.storage import Place
from nas.searching.problem import concatenate
from nas.searching.runs.folder import JOURNAL
from nas.searching.runs.stored import StoredRun, read_run


def read_examples(runs: Sequence[Place | Path | str]) -> Examples:
    """Return the trials with status "ok" of run folders that measured the same thing.

    Trials that were stopped early have estimates and do not count, nor do failed and infeasible
    ones. What the runs' evaluators need (images, torch) need not be there.

    Raises:
        RunError: if a folder is no run, is damaged, or measured another space, metric or evaluator
            than the first one; it says which.
        NasError: if there are too few trials; see `Examples`.
    """
    places = [out if isinstance(out, Place) else Place(out) for out in runs]
    found = [_open(place) for place in dict.fromkeys(places)]
    first = found[0]
    for other in found[1:]:
        _check_same(first, other)
    space, metric = first.run.space, first.metric
    trials = concatenate([each.run.trials for each in found], len(space.columns))
    values = trials.metrics[metric]
    good = trials.ok & np.isfinite(values)
    picks, which = np.unique(trials.picks[good], axis=0, return_inverse=True)
    which = which.ravel()
    accuracy = np.bincount(which, values[good], len(picks)) / np.bincount(which, None, len(picks))
    many = f" of {len(found)} runs" if len(found) > 1 else ""
    return Examples(
        space=space,
        picks=picks,
        accuracy=accuracy,
        metric=metric,
        source=f"{len(picks)} trials{many} by {first.judge}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A run; `choices`, the fingerprint of its space, and `judge` must agree between runs."""

    run: StoredRun
    choices: str
    judge: str

    @property
    def metric(self) -> str:
        """The accuracy that was measured."""
        metrics = self.run.trials.metrics
        found = [name for name in METRICS if name in metrics]
        if not found:
            there = ", ".join(metrics) or "no metrics"
            raise RunError(f"{self.run.out} has no {' or '.join(METRICS)}; its trials have {there}")
        return found[0]


def _open(place: Place) -> _Found:
    """Return the run kept at `place`, of the space as it is now."""
    run = read_run(place)
    try:
        # `nas.searching.config.prepare` names the evaluator that answers for accuracy last
        choices, judge = str(run.records[0]["choices"]), str(run.records[0]["evaluators"][-1])
    except (KeyError, IndexError, TypeError):
        raise RunError(f"{place / JOURNAL}, line 1: no header of a search") from None
    if choices != run.space.fingerprint:
        raise RunError(
            f"{place} searched another version of space {run.config.space}; bring that one"
        )
    return _Found(run=run, choices=choices, judge=judge)


def _check_same(one: _Found, other: _Found) -> None:
    """Refuse two runs whose accuracies mean different things."""
    for what, a, b in (
        ("space", one.run.config.space, other.run.config.space),
        ("choices", one.choices, other.choices),
        ("evaluator", one.judge, other.judge),
        ("metric", one.metric, other.metric),
    ):
        if a != b:
            raise RunError(
                f"{one.run.out} and {other.run.out} do not mix: their {what} is {a!r} and {b!r}; "
                "fit a model to each"
            )
