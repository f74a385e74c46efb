"""Our strategies as searchers of Ray Tune, and our problems as its trainables."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher as RaySearcher
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Quantized
from ray.tune.search.variant_generator import parse_spec_vars

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.files import write_text
from nas.integrations.ask_tell import AskTell
from nas.integrations.parameters import of_space, of_values, steps
from nas.integrations.problems import evaluate_point
from nas.searching.problem import Problem
from nas.space.space import Space


class Searcher(RaySearcher):
    """Proposes the candidates of one of our strategies in a Tune experiment.

    The parameters are the domains in Tune's `param_space`, or the choices of `space`. With several
    metrics, `metric` and `mode` are lists. A trial that a scheduler stopped counts with its last
    result.
    """

    def __init__(
        self,
        strategy: str = "guided",
        *,
        space: Space | None = None,
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare `strategy`, with its options as on the command line."""
        super().__init__(metric=metric, mode=mode)  # type: ignore[arg-type]  # lists are taken
        self._strategy, self._seed, self._space = strategy, seed, space
        self._config: dict[str, Any] = param_space(space) if space else {}
        self._ask_tell: AskTell | None = None
        self._live: dict[str, dict[str, Any]] = {}
        self._told: list[tuple[dict[str, Any], dict[str, float]]] = []

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take the settings given to Tune; return whether they were needed."""
        self._metric, self._mode = metric or self._metric, mode or self._mode
        self._config = config or self._config
        self._ask_tell = None
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, or "FINISHED" if there is none."""
        fixed, domains = _parsed(self._config)
        if self._ask_tell is None:
            self._ask_tell = self._begin(domains)
        found = self._ask_tell.ask()
        if found is None:
            return RaySearcher.FINISHED
        self._live[trial_id] = found
        return _nested({**fixed, **found})

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the strategy the last result of a trial, or that it failed."""
        values = self._live.pop(trial_id, None)
        if values is None or self._ask_tell is None:
            return
        known = result if result and not error else {}
        metrics = {name: float(known[name]) for name in self._metrics() if name in known}
        self._told.append((values, metrics))
        self._ask_tell.tell(values, metrics)

    def save(self, checkpoint_path: str) -> None:
        """Write everything that the strategy was told."""
        write_text(Path(checkpoint_path), strict_json.dumps({"told": self._told}))

    def restore(self, checkpoint_path: str) -> None:
        """Tell the strategy what `save` wrote, in the same order."""
        content = strict_json.parse(Path(checkpoint_path).read_bytes())
        self._told = [(dict(values), dict(metrics)) for values, metrics in content["told"]]
        self._ask_tell, self._live = None, {}

    def _metrics(self) -> Mapping[str, str]:
        """Return the direction of every metric."""
        if not self._metric or not self._mode:
            raise NasError("give Tune or the searcher a metric and a mode")
        names, modes = _listed(self._metric), _listed(self._mode)
        return dict(zip(names, modes, strict=True))

    def _begin(self, domains: Mapping[str, tuple[Any, ...]]) -> AskTell:
        parameters = of_space(self._space) if self._space else of_values(domains)
        made = AskTell(parameters, self._metrics(), strategy=self._strategy, seed=self._seed)
        for values, metrics in self._told:
            made.tell(values, metrics)
        return made


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _parsed(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Return the fixed part of a configuration, and the values of its domains by "a/b"."""
    resolved, domains, grids = parse_spec_vars(dict(config))
    if grids:
        raise NasError("a searcher chooses from domains such as tune.choice; leave grid_search out")
    fixed = {"/".join(map(str, path)): value for path, value in resolved}
    return fixed, {"/".join(map(str, path)): values_of(domain) for path, domain in domains}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in flat.items():
        *outer, last = path.split("/")
        place = found
        for step in outer:
            place = place.setdefault(step, {})
        place[last] = value
    return found


def values_of(domain: Domain) -> tuple[Any, ...]:
    """Return the values of a domain that a strategy chooses from.

    Raises:
        NasError: if it is unbounded, or a function.
    """
    given: Any = domain
    sampler, step = given.get_sampler(), 0.0
    if isinstance(sampler, Quantized):
        sampler, step = sampler.get_sampler(), float(sampler.q)  # type: ignore[no-untyped-call]
    log = isinstance(sampler, LogUniform)
    match domain:
        case Categorical(categories=categories):
            return tuple(categories)
        case Integer(lower=low, upper=high):
            last = high if step else high - 1
            return tuple(int(value) for value in steps(low, last, step=step or 1, log=log))
        case Float(lower=low, upper=high) if isfinite(high - low):
            return steps(low, high, step=step, log=log)
    raise NasError(f"a searcher cannot choose from {domain}; give it a lower and an upper bound")


def param_space(space: Space) -> dict[str, Domain]:
    """Return the choices of a search space as Tune's `param_space`."""
    return {column.name: tune.choice(list(column.values)) for column in space.columns}


def reported(problem: Problem, config: Mapping[str, Any]) -> dict[str, float]:
    """Return what the trainable reports of one point of `problem`."""
    point = evaluate_point(problem, config)
    worst = dict.fromkeys(problem.provides, float("nan"))
    worst |= {o.metric: o.sign * float("inf") for o in problem.objectives}
    limits = {str(limit): limit.scale for limit in problem.limits}
    violated = max((e / limits[n] for n, e in point.excess.items()), default=0.0)
    return {**worst, **point.metrics, "violated": max(0.0, violated)}


def trainable(problem: Problem) -> Callable[[dict[str, Any]], None]:
    """Return the trainable that evaluates one point of `problem` and reports its metrics.

    An objective that was not evaluated because the point violates a constraint is reported as the
    worst possible number, any other metric as NaN. `violated` is the largest relative excess over
    a constraint.
    """

    def train(config: dict[str, Any], *, problem: Problem) -> None:
        tune.report(reported(problem, config))

    made: Callable[[dict[str, Any]], None] = tune.with_parameters(train, problem=problem)
    return made
