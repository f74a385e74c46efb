"""Run a search: from settings to a front, with or without a run folder."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas import folder, plugins
from nas.config import SearchConfig, Setup, prepare, write_config
from nas.errors import RunError, unknown
from nas.journal import NoJournal, open_journal
from nas.lines import Lines
from nas.members import Member, front_members, record, reference
from nas.pareto import hypervolume, non_dominated
from nas.plugins import Plugin
from nas.problem import Objective, Strategy, Trials
from nas.reach import check_limits
from nas.runner import Watched
from nas.seeding import Seeded
from nas.session import Session
from nas.zoo import load_architecture

BEST_OF_ONE = 10
"""With a single objective a front is one architecture; this many of the best are shown."""

Progress = Callable[[int, int, str], None]
"""Called with the trials done, the trials wanted, and what was trained meanwhile."""


class TimeUp(KeyboardInterrupt):
    """The end of the time that a search was given; nothing catches it but the search."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a search has found: all trials, and the numbers of those on the front.

    `seconds` is the time of this search alone, without loading; `new` its number of trials, fewer
    than all where an earlier search was continued.
    """

    setup: Setup
    trials: Trials
    front: NDArray[np.int64]
    seconds: float
    new: int
    finished: bool
    out: Path | None = None

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The front, the fastest first; with one objective the best first."""
        return front_members(self.setup, self.trials, self.front)

    @cached_property
    def baseline(self) -> Member | None:
        """The architecture that the space's file names for comparison."""
        name = self.setup.space.baseline
        return reference(self.setup, name) if name else None

    @property
    def best(self) -> Member | None:
        """The most accurate member, or with one objective the best; None where there is none."""
        if len(self.setup.problem.objectives) == 1:
            return self.members[0] if self.members else None
        return max(self.members, key=lambda m: m.accuracy or 0.0, default=None)

    @cached_property
    def hypervolume(self) -> float:
        """The volume that the front dominates, up to `reference_point`; 0 for no front."""
        if not self.front.size:
            return 0.0
        scores = self.setup.problem.scores(self.trials.metrics)[self.front]
        return hypervolume(scores, self.reference_point)

    @cached_property
    def reference_point(self) -> NDArray[np.float64]:
        """The worst value of each objective, signed so that smaller is better.

        That is its limit; without one 0 (or the worst found, if that is below) where larger is
        better, otherwise twice the baseline's, and without a baseline the worst value found.
        """
        return np.array([self._worst(o) for o in self.setup.problem.objectives])

    def _worst(self, objective: Objective) -> float:
        for limit in self.setup.problem.limits:
            if limit.metric == objective.metric and limit.at_most == (objective.sign > 0):
                return objective.sign * limit.value
        found = objective.sign * self.trials.metrics[objective.metric][self.trials.ok]
        if objective.sign < 0:
            return max(0.0, float(found.max()))
        known = self.baseline.metrics if self.baseline else {}
        return float(2 * known[objective.metric] if objective.metric in known else found.max())

    def records(self) -> list[dict[str, Any]]:
        """Return the members as plain data, in their order; one of them is the `best`."""
        return [
            {**record(m, self.setup.accuracy, self.baseline), "best": m is self.best}
            for m in self.members
        ]


def search(
    config: SearchConfig | None = None,
    *,
    out: Path | str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Run:
    """Search as `config` says, changed by `settings`, and return what was found.

    `settings` are fields of `SearchConfig`, so that `search(space="mbconv", trials=500)` is enough.
    With `out`, everything is kept in that run folder; a search that was broken off there goes on
    where it stopped, and a finished one goes on if `config` wants more trials. An interrupt
    (Ctrl-C) ends the search early: the result then says that it is not finished.

    Raises:
        NasError: if a setting is wrong, a limit cannot be met, or the folder cannot be written;
            before the search starts, or with everything found so far kept.
    """
    known = [f.name for f in fields(SearchConfig)]
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)
    run = explore(replace(config or SearchConfig(), **settings), out=out, progress=progress)
    write(run)
    return run


def explore(
    config: SearchConfig, *, out: Path | str | None = None, progress: Progress | None = None
) -> Run:
    """Do what `search` does, but leave nothing in the run folder besides settings and journal."""
    path = Path(out) if out is not None else None
    watch = _Watch(config, progress)
    carrier = plugins.create("runners", Plugin.parse(config.runner), workers=config.workers)
    with closing(Watched(carrier, watch.task_done)) as runner:
        return _explore(prepare(config, out=path, runner=runner), path, watch)


def _explore(setup: Setup, path: Path | None, watch: "_Watch") -> Run:
    config = setup.config
    check_limits(setup.problem, seed=config.seed)
    if path:
        folder.check_folder(path, config)
    with closing(open_journal(path / folder.JOURNAL) if path else NoJournal()) as journal:
        if path:
            _check_trials(journal, config)
            write_config(config, path / folder.CONFIG)
        session = Session(setup.problem, _strategy(setup), journal, header=_header(setup))
        return _advance(setup, session, watch, path)


def _check_trials(journal: Lines | NoJournal, config: SearchConfig) -> None:
    """Refuse to continue a run for fewer trials than it holds."""
    done = sum(len(str(r.get("status", ""))) for r in journal.records if "tell" in r)
    if done > config.trials:
        raise RunError(
            f"{journal.path.parent} holds {done} trials already, more than {config.trials}; "
            "give another --out"
        )


def write(run: Run) -> None:
    """Write the front of `run` and its circumstances into its run folder, if it has one.

    Raises:
        RunError: if the folder cannot be written.
    """
    if run.out:
        archs = [member.arch for member in run.members]
        folder.write_results(run.out, run.records(), archs, folder.environment(run.setup))


def _header(setup: Setup) -> dict[str, Any]:
    config = setup.config
    return {
        **setup.problem.describe(),
        "strategy": config.strategy,
        "seed": config.seed,
        "seed_arch": list(config.seed_arch),
    }


def _strategy(setup: Setup) -> Strategy:
    strategy = setup.strategy()
    if not setup.config.seed_arch:
        return strategy
    archs = [load_architecture(name) for name in setup.config.seed_arch]
    return Seeded(strategy, np.stack([setup.space.pack(setup.space.encode(a)) for a in archs]))


class _Watch:
    """Tells how far a search is, and ends it when it has had what it was given."""

    def __init__(self, config: SearchConfig, progress: Progress | None) -> None:
        self._config, self._progress = config, progress
        self._until = inf
        self._trials = self._tasks = 0

    def start(self, session: Session) -> None:
        """Count the time from now on, less what earlier searches of this run took."""
        if self._config.max_seconds:
            left = self._config.max_seconds - session.trials.seconds
            self._until = time.monotonic() + left
        self._trials = len(session)

    def is_over(self, session: Session) -> bool:
        """Tell whether the trials are done, or the time or the epochs are spent."""
        if self._config.max_epochs:
            epochs = session.trials.metrics.get("epochs", np.zeros(0))
            if np.nansum(epochs) >= self._config.max_epochs:
                return True
        return len(session) >= self._config.trials or self._is_late()

    def _is_late(self) -> bool:
        return self._until < inf and time.monotonic() >= self._until

    def batch_done(self, session: Session) -> None:
        """Say how many trials there are."""
        self._trials = len(session)
        self._tell()

    def task_done(self) -> None:
        """Say that something was trained.

        Raises:
            TimeUp: if the time is over.
        """
        self._tasks += 1
        self._tell()
        if self._is_late():
            raise TimeUp

    def _tell(self) -> None:
        if self._progress:
            note = f"{self._tasks} trainings" if self._tasks else ""
            self._progress(self._trials, self._config.trials, note)


def _advance(setup: Setup, session: Session, watch: _Watch, out: Path | None) -> Run:
    started, before = time.perf_counter(), len(session)
    wanted = setup.config.trials
    finished = True
    try:
        watch.start(session)
        while not watch.is_over(session):
            if not session.step(min(_batch(setup, session), wanted - len(session))):
                break
            watch.batch_done(session)
    except TimeUp:
        pass
    except KeyboardInterrupt:
        finished = False
    return Run(
        setup=setup,
        trials=session.trials,
        front=_front(setup, session.trials),
        seconds=time.perf_counter() - started,
        new=len(session) - before,
        finished=finished,
        out=out,
    )


def _batch(setup: Setup, session: Session) -> int:
    return setup.config.batch or session.strategy.batch


def _front(setup: Setup, trials: Trials) -> NDArray[np.int64]:
    """Return the numbers of the best trials: the front, or the best few of one objective."""
    ok = np.flatnonzero(trials.ok)
    _, first = np.unique(trials.picks[ok], axis=0, return_index=True)
    ok = ok[np.sort(first)]
    if not ok.size:
        return ok
    scores = setup.problem.scores(trials.metrics)[ok]
    if scores.shape[1] == 1:
        return ok[np.argsort(scores[:, 0], kind="stable")[:BEST_OF_ONE]]
    return ok[non_dominated(scores)]
