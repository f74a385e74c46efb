"""Finished trials of run folders, as examples to learn an accuracy model from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.accuracy.examples import Examples
from nas.accuracy.predictor import METRICS
from nas.core.errors import RunError
from nas.core.files import read_bytes
from nas.core.jsonl import Record, parse
from nas.core.run_kind import SEARCH, check_kind
from nas.core.storage import Place
from nas.searching import journal as log
from nas.searching.config import SearchConfig, read_config
from nas.searching.folder import CONFIG, JOURNAL
from nas.searching.problem import Objective, Trials, concatenate
from nas.space.file import load_space
from nas.space.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The trials of one run; `choices` and `judge` must agree between runs."""

    out: Place
    config: SearchConfig
    choices: str
    judge: str
    space: Space
    trials: Trials

    @property
    def metric(self) -> str:
        """The accuracy that was measured."""
        found = [name for name in METRICS if name in self.trials.metrics]
        if not found:
            there = ", ".join(self.trials.metrics) or "no metrics"
            raise RunError(f"{self.out} has no {' or '.join(METRICS)}; its trials have {there}")
        return found[0]


def read_examples(runs: Sequence[Place | Path | str]) -> Examples:
    """Return the trials with status "ok" of run folders that measured the same thing.

    Trials that were stopped early have estimates and do not count, nor do those that failed or
    broke a limit. What the runs' evaluators need (images, torch) need not be there.

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
    trials = concatenate([each.trials for each in found], len(first.space.columns))
    values = trials.metrics[first.metric]
    good = trials.ok & np.isfinite(values)
    picks, which = np.unique(trials.picks[good], axis=0, return_inverse=True)
    which = which.ravel()
    accuracy = np.bincount(which, values[good], len(picks)) / np.bincount(which, None, len(picks))
    many = f" of {len(found)} runs" if len(found) > 1 else ""
    return Examples(
        space=first.space,
        picks=picks,
        accuracy=accuracy,
        metric=first.metric,
        source=f"{len(picks)} trials{many} by {first.judge}",
    )


def _open(place: Place) -> _Found:
    with place.reading(CONFIG, JOURNAL) as here:
        return _read(here, place)


def _read(out: Path, place: Place) -> _Found:
    path = out / JOURNAL
    check_kind(out, SEARCH)
    try:
        records, _ = parse(read_bytes(path), source=str(path))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    config = read_config(out / CONFIG)
    space = load_space(config.space)
    choices, judge = _header(records, path)
    if choices != space.fingerprint:
        raise RunError(f"{out} searched another version of space {config.space}; bring that one")
    needed = [Objective.parse(text).metric for text in config.objective]
    return _Found(
        out=place,
        config=config,
        choices=choices,
        judge=judge,
        space=space,
        trials=log.finished(records, space.widths, source=str(path), needed=needed),
    )


def _header(records: Sequence[Record], path: Path) -> tuple[str, str]:
    """Return the fingerprint of the space, and the text of who answered for accuracy."""
    try:
        # `nas.searching.config.prepare` names the evaluator that answers for accuracy last
        return str(records[0]["choices"]), str(records[0]["evaluators"][-1])
    except (KeyError, IndexError, TypeError):
        raise RunError(f"{path}, line 1: no header of a search") from None


def _check_same(one: _Found, other: _Found) -> None:
    """Refuse two runs whose accuracies mean different things."""
    for what, a, b in (
        ("space", one.config.space, other.config.space),
        ("choices", one.choices, other.choices),
        ("evaluator", one.judge, other.judge),
        ("metric", one.metric, other.metric),
    ):
        if a != b:
            raise RunError(
                f"{one.out} and {other.out} do not mix: their {what} is {a!r} and {b!r}; "
                "fit a model to each"
            )
