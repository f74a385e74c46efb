"""Objects in the place of names: what `nas.search` takes besides the texts of `SearchConfig`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.text import shown
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.searching.plugin_checks import identity
from nas.searching.problem import Constraint, Evaluator, Objective, Problem, Strategy
from nas.searching.reward import Reward
from nas.space.space import Space

OBJECT = "object"
"""The name of what was an object, in the settings that a run keeps."""


class StrategyFactory(Protocol):
    """Makes a strategy for a problem, as `create` of a strategy's file does."""

    def __call__(self, problem: Problem, *, seed: int) -> Strategy:
        """Return a fresh strategy; the same seed gives the same proposals."""


class Settings(TypedDict, total=False):
    """The keywords of `nas.search`: fields of `SearchConfig`, as texts or as objects.

    `evaluator` may be several evaluators: the first gives the accuracy, the others further metrics
    for objectives and constraints. `strategy` may be a function of a problem and a seed.
    """

    space: str | Path | Space
    task: str
    head: str
    latency_table: str | Path | LatencyTable
    dtype: str
    era: str | int
    evaluator: str | Evaluator | Iterable[Evaluator]
    objective: str | Objective | Iterable[str | Objective]
    limit: str | Constraint | Iterable[str | Constraint]
    limit_confidence: float
    reward: str | Reward
    strategy: str | StrategyFactory
    trials: int
    batch: int
    screen: int
    seed: int
    seed_arch: str | Path | Architecture | Iterable[str | Path | Architecture]
    allow_extrapolation: bool
    on_missing: str
    data: str
    runner: str
    workers: int
    ray_address: str
    gpus_per_trial: float
    deterministic: bool
    trial_seconds: int
    max_seconds: int
    max_epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What was given as an object, and not as a text; `evaluators` begin with that of accuracy."""

    space: Space | None = None
    table: LatencyTable | None = None
    evaluators: tuple[Evaluator, ...] = ()
    strategy: StrategyFactory | None = None
    seeds: Mapping[str, Architecture] = field(default_factory=dict)

    def named(self, texts: Iterable[str]) -> tuple[str | Architecture, ...]:
        """Return architectures to begin with, those that were given as objects as they are.

        Raises:
            NasError: if one was an object, and is none now.
        """
        for text in texts:
            if text not in self.seeds:
                check_named(text, "seed_arch")
        return tuple(self.seeds.get(text, text) for text in texts)


NONE = Objects()


def split_objects(given: Mapping[str, Any]) -> tuple[dict[str, Any], Objects]:
    """Return the keywords `given` with texts in the place of objects, and the objects.

    Raises:
        NasError: if a setting takes no such object.
    """
    evaluators = _evaluators(given.get("evaluator"))
    factory, seeds = given.get("strategy"), _seeds(given.get("seed_arch"))
    objects = Objects(
        space=_if(Space, given.get("space")),
        table=_if(LatencyTable, given.get("latency_table")),
        evaluators=evaluators,
        strategy=None if isinstance(factory, str | None) else factory,
        seeds=seeds,
    )
    return {name: _text(name, value) for name, value in given.items()}, objects


def check_named(text: str, setting: str) -> None:
    """Refuse the text of an object where the object is not there.

    Raises:
        NasError: saying which setting it was.
    """
    plugin = Plugin.parse(text)
    if plugin.name == OBJECT:
        what = plugin.options.get("path", "")
        raise NasError(
            f"{setting} was an object of Python ({what}); give the same one to nas.search"
        )


_KINDS: Mapping[str, tuple[type[Any], str, str]] = {
    "space": (Space, "a space, a name or a path", "one"),
    "latency_table": (LatencyTable, "a latency table, a name or a path", "one"),
    "reward": (Reward, "a Reward or its text", "one"),
    "objective": (Objective, "an Objective or its text, or several", "several"),
    "limit": (Constraint, "a Constraint or its text, or several", "several"),
    "seed_arch": (Architecture, "an architecture, a name or a path, or several", "several"),
}
"""What a setting takes besides texts, what to say of it, and how many."""


def _if(kind: type[Any], value: Any) -> Any:
    return value if isinstance(value, kind) else None


def _several(value: Any) -> tuple[Any, ...]:
    """Return the parts of `value`, or itself alone; texts have no parts, nor have evaluators."""
    alone = isinstance(value, str) or callable(value) or not isinstance(value, Iterable)
    return (value,) if alone else tuple(value)


def _evaluators(value: Any) -> tuple[Evaluator, ...]:
    """Return evaluators that were given as objects."""
    if isinstance(value, str | None):
        return ()
    found = _several(value)
    for one in found:
        if not callable(one):
            raise NasError(f"evaluator: expected an evaluator, or its name alone, not {shown(one)}")
    if not found:
        raise NasError("evaluator: expected one evaluator or more, found none")
    return found


def _seeds(value: Any) -> dict[str, Architecture]:
    return {_name(one): one for one in _several(value) if isinstance(one, Architecture)}


def _name(arch: Architecture) -> str:
    return _called(arch.name or arch.fingerprint)


def _text(name: str, value: Any) -> Any:
    """Return what the settings of a run say of the value of a setting."""
    if name == "evaluator" and value is None:
        raise NasError("evaluator: expected an evaluator, or its name alone, not None")
    if name == "evaluator" and not isinstance(value, str):
        return _called(identity(_evaluators(value)[0]))
    if name == "strategy" and not isinstance(value, str):
        return _called(_name_of(value))
    if name not in _KINDS:
        return value
    kind, expected, many = _KINDS[name]
    parts = _several(value) if many == "several" else (value,)
    for part in parts:
        if not isinstance(part, str | Path | kind):
            raise NasError(f"{name}: expected {expected}, not {shown(part)}")
    texts = tuple(_written(part) for part in parts)
    return texts if many == "several" else texts[0]


def _written(value: Any) -> str:
    """Return the text of a setting's value."""
    match value:
        case Space():
            return value.name
        case LatencyTable():
            if "," in value.name:
                raise NasError(f"latency_table: a name without a comma is needed, not {value.name}")
            return value.name
        case Architecture():
            return _name(value)
        case Reward():
            return f"target={value.target},below={value.below},above={value.above}"
    return value if isinstance(value, str) else str(value)  # a text keeps where it is from


def _called(text: str) -> str:
    return str(Plugin(name=OBJECT, options={"path": text})).replace("path=", "", 1)


def _name_of(factory: Any) -> str:
    if not callable(factory):
        raise NasError(
            f"strategy: expected a name or a function of a problem and a seed, not {shown(factory)}"
        )
    return getattr(factory, "__qualname__", type(factory).__name__)
