"""Run a search: from settings to a front, with or without a run folder."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from nas.core import plugins
from nas.core.deprecation import deprecated
from nas.core.errors import NasError, RunError, unknown
from nas.core.jsonl import Lines
from nas.core.optional import optional
from nas.core.plugins import Plugin
from nas.core.progress import Report
from nas.core.run_folder import SEARCH, is_begun
from nas.core.storage import Place
from nas.core.workers.runner import Lazy, Runner
from nas.latency.coverage import check_coverage, coverage_text, is_for
from nas.searching.config import SearchConfig, write_config
from nas.searching.constraints import check_constraints
from nas.searching.fronts import front_numbers, is_affordable, reference_point
from nas.searching.journal import JOURNAL, NullJournal, open_journal
from nas.searching.objects import NONE, Objects, Settings, split_objects
from nas.searching.pareto import hypervolume
from nas.searching.plugin_checks import CheckedStrategy
from nas.searching.problem import Strategy, Trials
from nas.searching.runs import folder
from nas.searching.runs.result import RESULT, result_of, write_result
from nas.searching.runs.watch import Watch, open_run
from nas.searching.screening import Screened
from nas.searching.session import Session
from nas.searching.setup import Setup, prepare
from nas.searching.solutions import (
    Solution,
    covers,
    front_solutions,
    known_solution,
    known_solutions,
    record,
)
from nas.searching.stored_space import store_given_space, store_space
from nas.searching.stored_table import store_table
from nas.searching.streaming import stream
from nas.searching.views import html_table, plot_trials, solutions_frame, trials_frame
from nas.searching.warm_start import Seeded

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """The result of a search: all trials, and the numbers of those on the front.

    `seconds` is the time of this search alone, without loading; `new` its number of trials, fewer
    than all where an earlier search was resumed; `out` is its run folder, a path or a URL. Where a
    budget ended the search before its trials were done, `spent` names the setting, "max_seconds" or
    "max_epochs", and `used` is what was used of it, which may be more than there was.
    """

    setup: Setup
    trials: Trials
    front: NDArray[np.int64]
    seconds: float
    new: int
    finished: bool
    spent: str = ""
    used: float = 0.0
    out: Path | str | None = None

    @cached_property
    def solutions(self) -> tuple[Solution, ...]:
        """The front, the fastest first; with one objective the best first."""
        return front_solutions(self.setup, self.trials, self.front)

    @property
    def members(self) -> tuple[Solution, ...]:
        """The former name of `solutions`."""
        deprecated("Run.members", instead="Run.solutions", removed_in="0.3.0")
        return self.solutions

    @cached_property
    def baseline(self) -> Solution | None:
        """The architecture that the space's file names for comparison.

        None where it names none, the latency table does not cover it, or its evaluation fails.
        """
        name, found = self.setup.space.baseline, None
        if name and covers(self.setup, name):
            with optional(f"a comparison with {name}", logger.warning):
                found = known_solution(self.setup, name)
        return found

    @cached_property
    def best(self) -> Solution | None:
        """The most accurate solution, by its objective; with one objective the best; or None."""
        if len(self.setup.problem.objectives) == 1:
            return self.solutions[0] if self.solutions else None
        wanted = [objective.metric for objective in self.setup.problem.objectives]
        metric = next((m for m in wanted if m in self.setup.evaluator.provides), self.setup.guide)
        return max(self.solutions, key=lambda s: s.metrics.get(metric, 0.0), default=None)

    @cached_property
    def hypervolume(self) -> float:
        """The volume that the front dominates, up to `reference_point`; 0 for no front.

        NaN where working it out would take too long; see `is_affordable`.
        """
        if not self.front.size:
            return 0.0
        if not is_affordable(len(self.front), len(self.setup.problem.objectives)):
            return float("nan")
        scores = self.setup.problem.scores(self.trials.metrics)[self.front]
        return hypervolume(scores, self.reference_point)

    @cached_property
    def reference_point(self) -> NDArray[np.float64]:
        """The worst value of each objective, signed so that smaller is better.

        That is its constraint; without one 0 (or the worst found, if that is below) where larger is
        better, otherwise twice the baseline's, and without a baseline the worst value found.
        """
        problem = self.setup.problem
        known = self.baseline.metrics if self.baseline else {}
        return reference_point(problem.objectives, problem.limits, self.trials, known)

    @cached_property
    def known(self) -> tuple[Solution, ...]:
        """The bundled architectures that the latency table covers, to compare with, by name."""
        found: tuple[Solution, ...] = ()
        with optional("known architectures", logger.warning):
            found = known_solutions(self.setup)
        return found

    def to_pandas(self, *, front: bool = False) -> "DataFrame":
        """Return all trials as a data frame, or with `front` the solutions; needs pandas."""
        if front:
            return solutions_frame(self.records())
        return trials_frame(self.trials, self.setup.space)

    def plot(self) -> "NDArray[np.object_]":
        """Draw trials and front with the objectives on the axes; return matplotlib's axes.

        Raises:
            NasError: if no trial satisfied the constraints, or matplotlib is missing.
        """
        return plot_trials(self.setup.problem.objectives, self.trials, self.front)

    def __repr__(self) -> str:
        """Return what was searched and found, in a line."""
        state = "finished" if self.finished else "interrupted"
        where = f", in {self.out}" if self.out else ""
        return (
            f"<Run of {self.setup.searched} on {self.setup.table.name}: {len(self.trials):,} "
            f"trials, {len(self.front):,} on the front, {state}{where}>"
        )

    def _repr_html_(self) -> str:
        title = f"{self.setup.searched} on {self.setup.table.name}"
        return html_table(title, self.records(), self.setup.accuracy)

    def records(self) -> list[dict[str, Any]]:
        """Return the solutions as plain data, in their order; one of them is the `best`."""
        return [
            {**record(s, self.setup.accuracy, self.baseline), "best": s is self.best}
            for s in self.solutions
        ]


def search(
    config: SearchConfig | None = None,
    *,
    out: Place | Path | str | None = None,
    progress: Report | None = None,
    **settings: Unpack[Settings],
) -> Run:
    """Search as `config` says, changed by `settings`, and return what was found.

    `progress` is called with the trials done, the trials wanted, and the number of trainings.
    `settings` are fields of `SearchConfig`, so that `search(space="mbconv", trials=500)` is enough;
    spaces, latency tables, evaluators, strategies, architectures, objectives and constraints may be
    objects (see `Settings`). A run of objects is resumed with the same ones; its folder keeps space
    and table. With `out`, everything is kept in that run folder, a path or any URL that fsspec
    knows. An interrupted search resumes there, and so does a finished one if `config` wants more
    trials. An interrupt (Ctrl-C) ends the search early: the result then says that it is not
    finished.

    Raises:
        NasError: if a setting is wrong, a constraint cannot be satisfied, or the folder cannot be
            written; before the search starts, or with everything found so far kept.
    """
    known = signature(SearchConfig).parameters
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)
    texts, objects = split_objects(settings)
    wanted = replace(config or SearchConfig(), **texts)
    if out is None:
        return explore(wanted, objects=objects, progress=progress)
    place = out if isinstance(out, Place) else Place(out)
    with open_run(place):
        run = explore(wanted, objects=objects, out=place, progress=progress)
        write(run)
    return run


def explore(
    config: SearchConfig,
    *,
    objects: Objects = NONE,
    out: Place | None = None,
    progress: Report | None = None,
) -> Run:
    """Do what `search` does, but write only settings and journal into the run folder.

    The folder must be open; see `open_run`.
    """
    with closing(Lazy(_runner(config))) as runner:
        watch = Watch(config, runner, out=out.here if out else None, progress=progress)
        setup = prepare(config, objects=objects, out=out, runner=watch.runner)
        return _explore(setup, out, watch)


def _runner(config: SearchConfig) -> Callable[[], Runner]:
    """Return a function that creates the runner.

    Raises:
        NasError: if it is unknown, or has no such setting.
    """
    plugin = Plugin.parse(config.runner)
    plugins.load("runners", plugin.name)
    named: dict[str, Any] = {"workers": config.workers}
    for option, setting in (("address", "ray_address"), ("gpus", "gpus_per_trial")):
        value = getattr(config, setting)
        if value and not plugins.takes("runners", plugin.name, option):
            raise NasError(f"runner {plugin.name} knows no {setting}; take `runner=ray`")
        named[option] = value
    return partial(plugins.create, "runners", plugin, **named)


def _explore(setup: Setup, out: Place | None, watch: Watch) -> Run:
    config, path = setup.config, out.here if out else None
    check_constraints(setup.problem, seed=config.seed)
    _check_coverage(setup, path)
    if path:
        folder.check_folder(path, config)
    with closing(open_journal(path / JOURNAL) if path else NullJournal()) as journal:
        if path:
            _check_trials(journal, config)
            if not journal.records:  # what a killed search leaves is known by its settings
                write_config(config, path / folder.CONFIG)
        session = Session(setup.problem, _strategy(setup), journal, header=_header(setup))
        if path:
            write_config(config, path / folder.CONFIG)
            _keep(setup, path)
        run = _advance(setup, session, watch, out)
        if path:
            _restore(journal, setup, path)
        return run


def _check_coverage(setup: Setup, path: Path | None) -> None:
    """Say how much of the latency is extrapolated; refuse to begin where that is most of it."""
    config, found = setup.config, setup.coverage
    if found is None or not (text := coverage_text(found, setup.table, setup.space)):
        return
    begun = path is not None and is_begun(path, SEARCH)
    if not (config.allow_extrapolation or begun or is_for(setup.table, setup.space)):
        check_coverage(found, text, named=config.space)
    logger.info("%s", text)


def _restore(journal: Lines | NullJournal, setup: Setup, path: Path) -> None:
    """Write journal and settings again where the run folder was removed during the search."""
    journal.restore()
    if not (path / folder.CONFIG).is_file():
        write_config(setup.config, path / folder.CONFIG)
    _keep(setup, path)


def _keep(setup: Setup, path: Path) -> None:
    """Keep the space in a run folder, and a latency table that no name gives."""
    if setup.objects.space:
        store_given_space(setup.objects.space, path)
    else:
        store_space(setup.config.space, setup.space, path)
    if setup.objects.table:
        store_table(setup.objects.table, path)


def _check_trials(journal: Lines | NullJournal, config: SearchConfig) -> None:
    """Refuse to continue a run for fewer trials than it holds."""
    done = sum(len(str(r.get("status", ""))) for r in journal.records if "tell" in r)
    if done > config.trials:
        raise RunError(
            f"{journal.path.parent} holds {done} trials already, more than {config.trials}; "
            "give another `out`"
        )


def write(run: Run) -> None:
    """Write the front of `run` and its circumstances into its run folder, if it has one.

    The folder must be open; see `open_run`.

    Raises:
        RunError: if the folder cannot be written.
    """
    if run.out:
        archs = [solution.arch for solution in run.solutions]
        here = Place(run.out).here
        folder.write_results(here, run.records(), archs, folder.environment(run.setup))
        if not all((here / name).is_file() for name in (folder.CONFIG, JOURNAL)):
            raise RunError(f"{run.out} was removed after the search; its journal is gone")
        with optional(RESULT, logger.warning):
            write_result(here, _result(run))


def _result(run: Run) -> dict[str, Any]:
    """Return what the run folder keeps of the worth of a search."""
    volume = (run.hypervolume, run.reference_point.tolist()) if run.front.size else None
    return result_of(run.setup, run.trials, volume=volume, baseline=run.baseline, known=run.known)


def _header(setup: Setup) -> dict[str, Any]:
    config = setup.config
    return {
        **setup.problem.describe(),
        "strategy": config.strategy,
        "seed": config.seed,
        "seed_arch": list(config.seed_arch),
        **({"screen": config.screen} if config.screen else {}),
    }


def _strategy(setup: Setup) -> Strategy:
    config = setup.config
    strategy: Strategy = CheckedStrategy(setup.strategy(), setup.space, config.strategy)
    if config.screen:
        strategy = Screened(strategy, setup.problem, times=config.screen, seed=config.seed)
    return Seeded(strategy, setup.seeds) if len(setup.seeds) else strategy


def _advance(setup: Setup, session: Session, watch: Watch, out: Place | None) -> Run:
    started, before = time.perf_counter(), len(session)
    finished = True
    try:
        with watch.over(session):
            for _ in (_streamed if setup.streams else _in_batches)(setup, session, watch):
                watch.told(session)
    except KeyboardInterrupt:
        finished = False
    return Run(
        setup=setup,
        trials=session.trials,
        front=_front(setup, session.trials),
        seconds=time.perf_counter() - started,
        new=len(session) - before,
        finished=finished,
        spent=watch.spent(session) if finished else "",
        used=watch.used(session) if finished else 0.0,
        out=out.kept if out else None,
    )


def _in_batches(setup: Setup, session: Session, watch: Watch) -> Iterator[None]:
    """Ask, evaluate and tell batch by batch; yield after each."""
    batch, wanted = setup.config.batch or session.strategy.batch, setup.config.trials
    while not watch.is_over(session) and session.step(min(batch, wanted - len(session))):
        yield


def _streamed(setup: Setup, session: Session, watch: Watch) -> Iterator[None]:
    """Let workers evaluate what the strategy proposes; yield after every tell."""
    config = setup.config
    return stream(
        session,
        watch.runner,
        wanted=config.trials,
        over=lambda: watch.is_over(session),
        batch=config.batch,
        seconds=config.trial_seconds,
        in_turn=config.deterministic,
    )


def _front(setup: Setup, trials: Trials) -> NDArray[np.int64]:
    """Return the numbers of the best trials: the front, or the best few of one objective."""
    nothing = np.zeros(0, np.int64)  # time was up before the first trial
    return front_numbers(setup.problem.scores(trials.metrics), trials) if len(trials) else nothing
