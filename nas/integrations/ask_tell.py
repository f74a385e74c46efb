"""Ask and tell a strategy one candidate at a time, as values of named parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from threading import RLock
from typing import Any

import numpy as np

from nas.core import plugins
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.integrations.parameters import Parameters
from nas.searching.plugin_checks import CheckedStrategy
from nas.searching.problem import (
    FAILED,
    OK,
    STATUS_TYPE,
    Candidates,
    Metrics,
    Objective,
    Problem,
    Trials,
)


@dataclass(frozen=True, kw_only=True)
class _ExternalEvaluator:
    """Stands for the evaluation by another engine."""

    provides: tuple[str, ...]
    seconds: float = 1.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Metrics:
        raise NasError("another engine evaluates these candidates")

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}


class AskTell:
    """A strategy for `parameters`; several threads may use it at once."""

    def __init__(
        self,
        parameters: Parameters,
        directions: Mapping[str, str],
        *,
        strategy: str = "guided",
        seed: int = 0,
    ) -> None:
        """Start a search; `directions` are "min" or "max" by the name of each metric.

        Raises:
            NasError: if there is no such strategy, or it has no such options.
        """
        self.parameters, self.told = parameters, 0
        self._metrics, self._lock = tuple(directions), RLock()
        problem = Problem(
            space=parameters.space,
            evaluators=(_ExternalEvaluator(provides=self._metrics),),
            objectives=tuple(Objective(metric=n, direction=d) for n, d in directions.items()),
        )
        made = plugins.create("strategies", Plugin.parse(strategy), problem, seed=seed)
        self._strategy = CheckedStrategy(made, parameters.space, strategy)

    def ask(self) -> dict[str, Any] | None:
        """Return the values of the next candidate; None if the strategy has no more."""
        with self._lock:
            rows = self._strategy.ask(1)
        return self.parameters.unpack(rows[0]) if len(rows) else None

    def tell(self, values: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Tell the metrics of a candidate, which failed if one is missing or not finite."""
        row = self.parameters.pack(values)
        known = {name: float(metrics.get(name, np.nan)) for name in self._metrics}
        good = all(map(isfinite, known.values()))
        with self._lock:
            trials = Trials(
                first=self.told,
                picks=row[None],
                metrics={n: np.array([v if good else np.nan]) for n, v in known.items()},
                status=np.array([OK if good else FAILED], dtype=STATUS_TYPE),
                errors={} if good else {self.told: "failed in another engine"},
            )
            self.told += 1
            self._strategy.tell(trials)
