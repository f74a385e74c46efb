"""A search that is ready to run: the objects that its settings name, checked to fit together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nas.core import plugins
from nas.core.contracts import check_parts
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.storage import Place
from nas.core.workers.runner import Runner
from nas.latency.coverage import Coverage, coverage
from nas.latency.table import Latency, LatencyTable
from nas.network.blocks import Architecture
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig
from nas.searching.objectives import COSTS, asks_latency, limits_of, objectives_of, reward_of
from nas.searching.objects import NONE, OBJECT, Objects, check_named
from nas.searching.plugin_checks import check_evaluator, check_strategy, identity
from nas.searching.precision import FP32, NOT_LOWERED, ByDtype, in_dtypes, tables_for
from nas.searching.problem import (
    Constraint,
    Evaluator,
    Objective,
    Problem,
    Strategy,
    is_slow,
)
from nas.searching.stored_space import space_of
from nas.searching.stored_table import table_of
from nas.searching.task import head_of, proxy_note, searched
from nas.searching.warm_start import seed_rows
from nas.space.heads import Detectors, Head, decode
from nas.space.lookup import SpaceUnits
from nas.space.space import INT8, Matrix, Space

FOOTPRINT = ("size_mb", "peak_mb")
"""Metrics that are worked out where an objective or a constraint names one of them."""


Tables = Mapping[str, LatencyTable]
"""Latency tables by dtype, or one as ""."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A search that is ready to run.

    `evaluator` is that of accuracy; with `streams`, trials go to workers one by one, as these
    become free (an evaluator with a runner distributes its work itself). `tables` are those of
    latency by dtype, or one as "". `coverage` is that of a table of measured units, where the
    latency decides anything. `seeds` are the rows to begin with. `proxy_note` says so where the
    accuracy is not that of the detectors that are searched.
    """

    config: SearchConfig
    tables: Tables
    problem: Problem
    evaluator: Evaluator
    seeds: Matrix
    streams: bool = False
    coverage: Coverage | None = None
    proxy_note: str = ""
    objects: Objects = NONE

    @property
    def table(self) -> LatencyTable:
        """The latency table; of two that in fp32, in which known architectures are compared."""
        return next(iter(self.tables.values()))

    def dtypes(self, picks: Matrix) -> list[str]:
        """Return the dtype of every row, "" in a search without."""
        _, int8 = self.space.split(picks)
        return [""] * len(picks) if int8 is None else [INT8 if one else FP32 for one in int8]

    def latencies(self, archs: Sequence[Architecture], dtypes: Sequence[str]) -> list[Latency]:
        """Return what the tables predict for architectures, each in its dtype."""
        found: dict[int, Latency] = {}
        for dtype, table in self.tables.items():
            own = [i for i, one in enumerate(dtypes) if one == dtype]
            found |= zip(own, table.predict_all([archs[i] for i in own]), strict=True)
        return [found[i] for i in range(len(archs))]

    @property
    def accuracy(self) -> str:
        """The name of the accuracy metric."""
        return self.evaluator.provides[0]

    @property
    def guide(self) -> str:
        """The metric of accuracy that the search maximises by default, a bound where there is."""
        return str(getattr(self.evaluator, "guide", self.accuracy))

    @property
    def note(self) -> str:
        """What the accuracy is: the note of its evaluator, and of which networks it is."""
        plain = self.tables.keys() == {""} and self.table.precision == INT8
        said = (self.proxy_note, self.evaluator.note, NOT_LOWERED if plain else "")
        return "\n".join(filter(None, said))

    @property
    def searched(self) -> str:
        """What is searched, as in "mbconv", or "detectors: ssdlite on mbconv"."""
        return searched(self.space.name, str(self.problem.head or ""))

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.problem.space

    def strategy(self) -> Strategy:
        """Return a fresh strategy.

        Raises:
            NasError: if it is unknown, its options are, or a package is missing.
        """
        if self.objects.strategy:
            made = self.objects.strategy(self.problem, seed=self.config.seed)
            check_parts("strategies", "the strategy", made)
        else:
            check_named(self.config.strategy, "strategy")
            plugin = Plugin.parse(self.config.strategy)
            made = plugins.create("strategies", plugin, self.problem, seed=self.config.seed)
        check_strategy(made, self.config.strategy)
        return made


def _takes(config: SearchConfig, option: str) -> bool:
    """Tell whether the evaluator takes an option; one that was given as an object takes none."""
    name = Plugin.parse(config.evaluator).name
    return name != OBJECT and plugins.takes("evaluators", name, option)


def _check_fit(config: SearchConfig) -> None:
    """Refuse settings that the evaluator does not take."""
    name = Plugin.parse(config.evaluator).name
    if config.data and not _takes(config, "data"):
        raise NasError(
            f"evaluator {name} does not look at data; to train on {config.data} take "
            "`evaluator=proxy`"
        )
    if config.trial_seconds and not (_streams(config) or _takes(config, "trial_seconds")):
        raise NasError(
            f"nothing can end a trial of evaluator {name} after trial_seconds in this "
            "process; use workers: `workers=2`"
        )


def _check_evaluators(found: Sequence[Evaluator], config: SearchConfig) -> None:
    """Refuse objects that are no evaluators; the first one is that of accuracy."""
    for evaluator in found:
        named = evaluator is found[0]
        name = Plugin.parse(config.evaluator).name if named else identity(evaluator)
        check_parts("evaluators", f"evaluator {name}", evaluator)
        check_evaluator(evaluator, name)
    if config.max_epochs and "epochs" not in found[0].provides:
        name = Plugin.parse(config.evaluator).name
        raise NasError(f"evaluator {name} trains for no epochs that max_epochs could count")


def _resolved(config: SearchConfig, problem: Problem) -> SearchConfig:
    """Return `config` with the defaults that depend on other settings."""
    return replace(
        config,
        objective=tuple(str(objective) for objective in problem.objectives),
        strategy=config.strategy or ("guided" if is_slow(problem) else "archive"),
    )


def prepare(
    config: SearchConfig,
    *,
    objects: Objects = NONE,
    out: Place | None = None,
    runner: Runner | None = None,
) -> Setup:
    """Load what `config` names but for what `objects` holds, and check that it fits together.

    The settings in the result are resolved: none is left to a default. Evaluators that train keep
    their trainings in the run folder `out`, and run them on `runner`, by default in this process.

    Raises:
        NasError: if something is unknown, malformed, or does not fit; before any work is done.
    """
    folder = out.here if out else None
    own = objects.space or space_of(config.space, folder)
    head = head_of(config.head, config.data) if config.head else None
    config = replace(config, head=str(head or ""))
    space = head.searched(own) if head else own
    detectors = Detectors(head=head, space=space) if head else None
    config, tables = _with_tables(config, objects, folder)
    units = detectors.bodies.units if detectors else SpaceUnits(space)
    given: dict[str, Any] = {"units": units, "detectors": detectors}
    if not objects.evaluators:
        check_named(config.evaluator, "evaluator")
    _check_fit(config)
    trains = objects.evaluators or _takes(config, "detectors")
    judged = head.judged(own) if head and not trains else space
    evaluator, *more = objects.evaluators or (
        _accuracy_evaluator(config, judged, out, runner, given),
    )
    _check_evaluators((evaluator, *more), config)
    dtypes = tuple(filter(None, tables))
    evaluator = in_dtypes(evaluator, space, units, dtypes)
    guide = getattr(evaluator, "guide", evaluator.provides[0])
    objectives = objectives_of(config, guide)
    counts = plugins.create("evaluators", Plugin.parse(COSTS), space, **given)
    evaluators = (
        *(() if str(evaluator) == COSTS else (counts,)),
        _of_each(partial(_latency, config, space, given), tables),
        *_footprint(config, space, tables, given),
        *more,
        evaluator,
    )
    reward = reward_of(config.reward, guide) if config.reward else None
    problem = Problem(
        space=replace(space, dtypes=dtypes) if dtypes else space,
        evaluators=evaluators,
        objectives=objectives,
        limits=limits_of(config),
        reward=reward,
        head=head,
    )
    setup = Setup(
        config=_resolved(config, problem),
        tables=tables,
        problem=problem,
        evaluator=evaluator,
        seeds=seed_rows(problem, objects.named(config.seed_arch)),
        streams=_streams(config),
        coverage=_coverage(config, space, head, tables),
        proxy_note=proxy_note(head, own, evaluator.provides[0]) if head else "",
        objects=objects,
    )
    setup.strategy()
    if space.baseline:
        load_architecture(space.baseline)
    return setup


def _with_tables(
    config: SearchConfig, objects: Objects, folder: Path | None
) -> tuple[SearchConfig, Tables]:
    """Return the tables by dtype, and `config` with their names and the dtypes."""

    def load(name: str) -> LatencyTable:
        given = objects.table
        return given if given and given.name == name else table_of(name, folder)

    found = tables_for(config.latency_table, config.dtype, load=load)
    names, dtypes = (name for name, _ in found.values()), tuple(filter(None, found))
    config = replace(config, latency_table=",".join(names), dtype=",".join(dtypes))
    strict = config.on_missing == "fail"
    return config, {
        dtype: replace(table, model=None) if strict else table
        for dtype, (_, table) in found.items()
    }


def _of_each(make: Callable[[LatencyTable], Evaluator], tables: Tables) -> Evaluator:
    """Return the evaluator that `make` gives of a table, or one of those of both."""
    first, *others = map(make, tables.values())
    return ByDtype(first, *others) if others else first


def _latency(
    config: SearchConfig, space: Space, given: Mapping[str, Any], table: LatencyTable
) -> Evaluator:
    """Return the evaluator of latency by one table."""
    made: Evaluator = plugins.create(
        "evaluators",
        Plugin.parse("table"),
        space,
        table=table,
        allow_extrapolation=config.allow_extrapolation or not asks_latency(config),
        confidence=config.limit_confidence,
        **given,
    )
    return made


def _coverage(
    config: SearchConfig, space: Space, head: Head | None, tables: Tables
) -> Coverage | None:
    """Return the coverage of the table that extrapolates most, of those of measured units."""
    if not asks_latency(config):
        return None
    measured = [table for table in tables.values() if table.entries]
    found = [coverage(t, space, decode=lambda rows: decode(space, rows, head)) for t in measured]
    return max(found, key=lambda one: one.latency, default=None)


def _footprint(
    config: SearchConfig, space: Space, tables: Tables, given: Mapping[str, Any]
) -> tuple[Evaluator, ...]:
    """Return the evaluator of `FOOTPRINT` where an objective or a constraint names one of them."""
    named = [Objective.parse(text).metric for text in config.objective]
    named += [Constraint.parse(text).metric for text in config.limit]
    if not set(named) & set(FOOTPRINT):
        return ()

    def make(table: LatencyTable) -> Evaluator:
        dtype = INT8 if table.precision == INT8 else FP32
        footprint = Plugin.parse("footprint")
        made: Evaluator = plugins.create("evaluators", footprint, space, dtype=dtype, **given)
        return made

    return (_of_each(make, tables),)


def _accuracy_evaluator(
    config: SearchConfig,
    space: Space,
    out: Place | None,
    runner: Runner | None,
    given: Mapping[str, Any],
) -> Evaluator:
    """Return the evaluator of accuracy."""
    named: dict[str, Any] = {
        "seed": config.seed,
        "trial_seconds": config.trial_seconds,
        "out": out.resolved() if out else None,  # workers may be in another folder
        "runner": runner,
        **given,
    }
    data = {"data": config.data} if config.data else {}
    plugin = Plugin.parse(config.evaluator)
    evaluator: Evaluator = plugins.create("evaluators", plugin, space, **named, **data)
    return evaluator


def _streams(config: SearchConfig) -> bool:
    """Return whether the search itself sends trials to workers."""
    several = config.workers > 1 or Plugin.parse(config.runner).name != "local"
    return several and not _takes(config, "runner")
