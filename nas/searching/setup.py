"""A search that is ready to run: the objects that its settings name, checked to fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from nas.core import plugins
from nas.core.contracts import check_parts
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.schema import check_keys
from nas.core.storage import Place
from nas.core.workers.runner import Runner
from nas.latency.coverage import Coverage, coverage
from nas.latency.table import LatencyTable
from nas.network.zoo import load_architecture
from nas.searching.config import SearchConfig
from nas.searching.kept_space import space_of
from nas.searching.kept_table import table_of
from nas.searching.metrics import UPPER
from nas.searching.objects import NONE, OBJECT, Objects, check_named
from nas.searching.problem import (
    Constraint,
    Evaluator,
    Objective,
    Problem,
    Reward,
    Strategy,
    is_slow,
)
from nas.searching.returned import check_evaluator, check_strategy, identity
from nas.searching.task import head_of, searched, stand_in
from nas.searching.warm_start import seed_rows
from nas.space.heads import Detectors
from nas.space.lookup import SpaceUnits
from nas.space.space import Matrix, Space

COSTS = "costs"
"""The evaluator of what is counted; as the evaluator of a search it knows no accuracy."""

FOOTPRINT = ("size_mb", "peak_mb")
"""Metrics that are worked out where an objective or a constraint names one of them."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A search that is ready to run.

    `judge` is the evaluator of accuracy; with `streams`, trials go to workers one by one, as these
    become free (a judge with a runner distributes its work itself). `coverage` is that of a table
    of measured units, where the latency decides anything. `seeds` are the rows to begin with.
    `stand_in` says so where the accuracy is not that of the detectors that are searched.
    """

    config: SearchConfig
    table: LatencyTable
    problem: Problem
    judge: Evaluator
    seeds: Matrix
    streams: bool = False
    coverage: Coverage | None = None
    stand_in: str = ""
    objects: Objects = NONE

    @property
    def accuracy(self) -> str:
        """The name of the accuracy metric."""
        return self.judge.provides[0]

    @property
    def guide(self) -> str:
        """The metric of accuracy that the search maximises by default, a bound where there is."""
        return str(getattr(self.judge, "guide", self.accuracy))

    @property
    def note(self) -> str:
        """What the accuracy is: the note of the judge, and of which networks it is."""
        return "\n".join(filter(None, (self.stand_in, self.judge.note)))

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


_BY_REWARD = ("max:reward",)


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
    """Refuse objects that are no evaluators; the first one is the judge."""
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
    table = objects.table or table_of(config.latency_table, folder)
    if config.on_missing == "fail":
        table = replace(table, model=None)
    units = detectors.bodies.units if detectors else SpaceUnits(space)
    given: dict[str, Any] = {"units": units, "detectors": detectors}
    if not objects.evaluators:
        check_named(config.evaluator, "evaluator")
    _check_fit(config)
    trains = objects.evaluators or _takes(config, "detectors")
    judged = head.judged(own) if head and not trains else space
    judge, *more = objects.evaluators or (_judge(config, judged, out, runner, given),)
    _check_evaluators((judge, *more), config)
    guide = getattr(judge, "guide", judge.provides[0])
    objectives = _objectives(config, guide)
    counts = plugins.create("evaluators", Plugin.parse(COSTS), space, **given)
    evaluators = (
        *(() if str(judge) == COSTS else (counts,)),
        plugins.create(
            "evaluators",
            Plugin.parse("table"),
            space,
            table=table,
            allow_extrapolation=config.allow_extrapolation or not asks_latency(config),
            confidence=config.limit_confidence,
            **given,
        ),
        *_footprint(config, space, table, given),
        *more,
        judge,
    )
    reward = _reward(config.reward, guide) if config.reward else None
    problem = Problem(
        space=space,
        evaluators=evaluators,
        objectives=objectives,
        limits=_limits(config),
        reward=reward,
        head=head,
    )
    setup = Setup(
        config=_resolved(config, problem),
        table=table,
        problem=problem,
        judge=judge,
        seeds=seed_rows(problem, objects.named(config.seed_arch)),
        streams=_streams(config),
        coverage=coverage(table, space, decode=problem.decode)
        if table.entries and asks_latency(config)
        else None,
        stand_in=stand_in(head, own, judge.provides[0]) if head else "",
        objects=objects,
    )
    setup.strategy()
    if space.baseline:
        load_architecture(space.baseline)
    return setup


def _limits(config: SearchConfig) -> tuple[Constraint, ...]:
    """Return the constraints, of the upper end of the latency where a confidence is asked for."""
    limits = tuple(Constraint.parse(text) for text in config.limit)
    if not config.limit_confidence:
        return limits
    return tuple(
        replace(x, metric=UPPER) if x.metric == "latency_ms" and x.at_most else x for x in limits
    )


def asks_latency(config: SearchConfig) -> bool:
    """Tell whether the latency decides anything: an objective, a constraint or a reward."""
    named = [Objective.parse(text).metric for text in config.objective]
    limited = [Constraint.parse(text).metric for text in config.limit]
    return bool(config.reward) or not named or "latency_ms" in (*named, *limited)


def _footprint(
    config: SearchConfig, space: Space, table: LatencyTable, given: Mapping[str, Any]
) -> tuple[Evaluator, ...]:
    """Return the evaluator of `FOOTPRINT` where an objective or a constraint names one of them."""
    named = [Objective.parse(text).metric for text in config.objective]
    named += [Constraint.parse(text).metric for text in config.limit]
    if not set(named) & set(FOOTPRINT):
        return ()
    dtype = "int8" if table.precision == "int8" else "fp32"
    footprint = Plugin.parse("footprint")
    return (plugins.create("evaluators", footprint, space, dtype=dtype, **given),)


def _judge(
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
    judge: Evaluator = plugins.create("evaluators", plugin, space, **named, **data)
    return judge


def _streams(config: SearchConfig) -> bool:
    """Return whether the search itself sends trials to workers."""
    several = config.workers > 1 or Plugin.parse(config.runner).name != "local"
    return several and not _takes(config, "runner")


def _objectives(config: SearchConfig, guide: str) -> tuple[Objective, ...]:
    if config.reward and Plugin.parse(config.evaluator).name == COSTS:
        raise NasError("a reward needs an accuracy, which `evaluator=costs` has not")
    usual = _BY_REWARD if config.reward else (f"max:{guide}", "min:latency_ms")
    if guide == "macs" and not (config.objective or config.reward):
        raise NasError(
            "evaluator costs knows no accuracy; say what to search for, as in "
            "`objective=min:params`"
        )
    objectives = tuple(Objective.parse(text) for text in config.objective or usual)
    if config.reward and tuple(map(str, objectives)) != _BY_REWARD:
        raise NasError("a reward is the one objective; leave out either `reward` or `objective`")
    return objectives


def _reward(text: str, guide: str) -> Reward:
    names = tuple(f.name for f in fields(Reward) if f.name in ("target", "below", "above"))
    options: dict[str, Any] = dict(Plugin.parse(f"reward:{text}").options)
    check_keys(options, known=names, required=("target",), place=f"reward {text!r}")
    try:
        numbers: dict[str, Any] = {name: float(value) for name, value in options.items()}
    except ValueError:
        raise NasError(f"reward {text!r}: expected target=80,below=-0.07,above=-0.07") from None
    return Reward(accuracy=guide, **numbers)
