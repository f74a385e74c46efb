"""What a search is for: the objectives, constraints and reward that its settings name."""

from dataclasses import fields, replace
from typing import Any

from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.core.schema import check_keys
from nas.searching.config import SearchConfig
from nas.searching.metrics import UPPER
from nas.searching.problem import Constraint, Objective
from nas.searching.reward import Reward

COSTS = "costs"
"""The evaluator of what is counted; as the evaluator of a search it knows no accuracy."""
_BY_REWARD = ("max:reward",)


def limits_of(config: SearchConfig) -> tuple[Constraint, ...]:
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


def objectives_of(config: SearchConfig, guide: str) -> tuple[Objective, ...]:
    """Return the objectives, by default latency and the accuracy `guide`.

    Raises:
        NasError: if the evaluator knows no accuracy that is asked for, or a reward is not alone.
    """
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


def reward_of(text: str, guide: str) -> Reward:
    """Return the reward of "target=80,below=-0.07,above=-0.07", of the accuracy `guide`.

    Raises:
        NasError: if it has no target, something else, or no numbers.
    """
    names = tuple(f.name for f in fields(Reward) if f.name in ("target", "below", "above"))
    options: dict[str, Any] = dict(Plugin.parse(f"reward:{text}").options)
    check_keys(options, known=names, required=("target",), place=f"reward {text!r}")
    try:
        numbers: dict[str, Any] = {name: float(value) for name, value in options.items()}
    except ValueError:
        raise NasError(f"reward {text!r}: expected target=80,below=-0.07,above=-0.07") from None
    return Reward(accuracy=guide, **numbers)
