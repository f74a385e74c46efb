"""What is searched for: objectives, constraints, and the evaluators that give metrics.

Candidates are a matrix of picks, metrics are arrays with a number for every candidate.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.core.deprecation import deprecated
from nas.core.errors import NasError, unknown
from nas.core.schema import PREDICTED
from nas.network.blocks import Architecture
from nas.searching.metrics import FRACTIONS, HIGHER_IS_BETTER
from nas.searching.plugin_checks import blamed, check_metrics, check_positions, identity
from nas.searching.reward import Reward
from nas.space.heads import Head, decode
from nas.space.space import Matrix, Space

Floats = NDArray[np.float64]
Metrics = Mapping[str, Floats]

LOOKUP_SECONDS = 1e-3
"""Evaluators that take less for a candidate are look-ups, which have another default strategy."""

OK, INFEASIBLE, STOPPED, FAILED = "ok", "infeasible", "stopped", "failed"
STATUS_TYPE = "<U10"

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "%": 0.01}


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """A batch of proposals: rows of picks of one space, shape (n, columns).

    `known` are the metrics that quicker evaluators have given for them. `score` takes further
    ones and returns the objectives that are known then, all to be minimised, shape (n, objectives);
    None outside of a search. `head` makes detectors of the networks of the space. `int8` tells
    which of them run in int8, None where the search has no `dtype`.
    """

    space: Space
    picks: Matrix
    head: Head | None = None
    known: Metrics = field(default_factory=dict)
    score: Callable[[Metrics], Floats] | None = None
    int8: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.picks)

    @cached_property
    def archs(self) -> tuple[Architecture, ...]:
        """The architectures, decoded when first asked for; detectors in a search for these."""
        return decode(self.space, self.picks, self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What an evaluator returns where candidates failed or were stopped.

    `errors` tells, by position in the batch, why a candidate failed; its numbers are NaN.
    `stopped` are the positions of candidates that were stopped early as too weak; their numbers are
    estimates, from which strategies learn, and they are never on a front.
    """

    metrics: Metrics
    errors: Mapping[int, str] = field(default_factory=dict)
    stopped: frozenset[int] = frozenset()


class Evaluator(Protocol):
    """Gives some metrics of a batch of candidates.

    `seconds` is the typical time for one candidate. At 0 the evaluator is exact and free:
    constraints on its metrics are checked before any other evaluator runs, and strategies may ask
    it about candidates that they then do not propose. The order of calls must not matter: the same
    candidate gets the same answer, unless the evaluator compares candidates to stop some. Its `str`
    should name what its answers depend on: a run is resumed only with evaluators of the same text,
    or of one in the optional attribute `earlier`, the texts of earlier versions. An optional method
    `outside(accuracy) -> str` says how a predicted number lies outside the range of the data that
    the evaluator learned from, with an empty text where it does not, and `beyond(candidates)` says
    so of networks, a text for each; `judged(candidates)` gives the numbers of a second opinion, by
    a model that did not guide the search. The metric in an optional `guide` is what a search
    maximises by default, in the place of the first that it provides. One that takes long over many
    candidates says in an optional `at_once` how many it is given in a call at most, so that what it
    found counts before the others have begun, and in `first_at_once` how many in the first call.
    """

    @property
    def provides(self) -> tuple[str, ...]:
        """The names of its metrics."""

    @property
    def seconds(self) -> float:
        """Typical seconds for one candidate."""

    @property
    def note(self) -> str:
        """A sentence to show beside the numbers, or nothing."""

    def __call__(self, candidates: Candidates) -> Metrics | Answers:
        """Return an array of shape (len(candidates),) for every provided metric.

        Where it raises, it is called again for each candidate alone, and those for which it raises
        fail; `Answers` fails single candidates at once.
        """

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return the standard deviation of every predicted metric, nothing for exact ones.

        Called for what is reported.
        """


def answers(evaluator: Evaluator, candidates: Candidates) -> Answers:
    """Return what `evaluator` says of `candidates`, as `Answers`.

    Raises:
        BadPlugin: if it is not as agreed.
    """
    found, count = evaluator(candidates), len(candidates)
    said = found if isinstance(found, Answers) else Answers(metrics=found)
    with blamed(evaluator):
        check_positions(said.errors, said.stopped, count=count)
        known = check_metrics(said.metrics, evaluator.provides, count=count, failed=said.errors)
    return replace(said, metrics=known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A metric to maximise ("max") or minimise ("min")."""

    metric: str
    direction: str

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Return the objective of "latency_ms", "min:latency_ms" or "max:top1"."""
        direction, _, metric = text.rpartition(":")
        default = "max" if metric in HIGHER_IS_BETTER else "min"
        if direction not in ("", "min", "max"):
            raise NasError(f"objective {text!r}: expected METRIC, min:METRIC or max:METRIC")
        return cls(metric=metric, direction=direction or default)

    @property
    def sign(self) -> float:
        """1 where smaller is better, -1 where larger is."""
        return 1.0 if self.direction == "min" else -1.0

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.direction}:{self.metric}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A constraint on every result, as in latency_ms <= 80."""

    metric: str
    at_most: bool
    value: float

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Return the constraint of "latency_ms<=80", "top1_proxy>=0.6" or "top1_proxy>=60%".

        A number may end in k, M, G or %.
        """
        number = r"([\d.]+(?:[eE][+-]?\d+)?)\s*([kMG%]?)"
        match = re.fullmatch(rf"\s*(\w+)\s*(<=|>=)\s*{number}\s*", text)
        try:
            if match is None:
                raise ValueError
            value = float(match[3]) * _UNITS[match[4]]
        except ValueError:
            raise NasError(
                f"limit {text!r}: expected METRIC<=NUMBER or METRIC>=NUMBER, as in latency_ms<=80 "
                "or params<=4M"
            ) from None
        if match[1] in FRACTIONS and PREDICTED.most < value <= 100:
            start = f"{match[1]}{match[2]}"
            better = f"{start}{value / 100:g} or {start}{value:g}%"
            raise NasError(f"limit {text!r}: {match[1]} is a fraction; give {better}")
        return cls(metric=match[1], at_most=match[2] == "<=", value=value)

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        """Return where `values` satisfy the constraint; NaN does not."""
        held: NDArray[np.bool_] = values <= self.value if self.at_most else values >= self.value
        return held

    def excess(self, values: Floats) -> Floats:
        """Return by how much `values` violate the constraint, 0 or less where they satisfy it."""
        return (values - self.value) * (1 if self.at_most else -1)

    @property
    def scale(self) -> float:
        """What its excess is divided by, to compare constraints."""
        return abs(self.value) or 1.0

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.metric}{'<=' if self.at_most else '>='}{self.value:.12g}"


def __getattr__(name: str) -> Any:
    """Return what a former name of this module means."""
    if name == "Limit":
        deprecated(f"{__name__}.Limit", instead=f"{__name__}.Constraint", removed_in="0.3.0")
        return Constraint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Evaluated candidates: numbers first, first + 1, ... in the order of `picks`.

    `status` holds "ok", "infeasible" (a constraint is violated; metrics not evaluated are NaN),
    "stopped" (early, as too weak; metrics are estimates) or "failed" (with the reason in `errors`,
    by number).
    """

    first: int
    picks: Matrix
    metrics: Metrics
    status: NDArray[np.str_]
    seconds: float = 0.0
    errors: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.picks)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which of them have all metrics and satisfy all constraints."""
        return np.asarray(self.status == OK)


def concatenate(parts: Sequence[Trials], columns: int) -> Trials:
    """Return all trials of `parts` as one, in their order."""
    names = dict.fromkeys(name for part in parts for name in part.metrics)
    return Trials(
        first=parts[0].first if parts else 0,
        picks=np.concatenate([p.picks for p in parts] or [np.zeros((0, columns), np.uint8)]),
        metrics={
            name: np.concatenate([p.metrics.get(name, np.full(len(p), np.nan)) for p in parts])
            for name in names
        },
        status=np.concatenate([p.status for p in parts] or [np.zeros(0, STATUS_TYPE)]),
        seconds=sum(part.seconds for part in parts),
        errors={n: text for part in parts for n, text in part.errors.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A space, the objectives, the constraints (`limits`), the evaluators, and a `head` if any.

    Raises:
        NasError: if no evaluator provides the metric of an objective, a constraint or the reward,
            or several provide the same one.
    """

    space: Space
    evaluators: tuple[Evaluator, ...]
    objectives: tuple[Objective, ...]
    limits: tuple[Constraint, ...] = ()
    reward: Reward | None = None
    head: Head | None = None

    def __post_init__(self) -> None:
        provided = [*self.provides, *(["reward"] if self.reward else [])]
        twice = [metric for metric, count in Counter(provided).items() if count > 1]
        if twice:
            raise NasError(f"more than one evaluator answers for {', '.join(twice)}; leave one out")
        wanted = [o.metric for o in self.objectives] + [x.metric for x in self.limits]
        if self.reward:
            wanted += [self.reward.accuracy, self.reward.latency]
        for metric in wanted:
            if metric not in provided:
                raise unknown("metric", metric, provided)
        if not self.objectives:
            raise NasError("a problem needs at least one objective")

    @property
    def provides(self) -> tuple[str, ...]:
        """The metrics that the evaluators give."""
        return tuple(metric for e in self.evaluators for metric in e.provides)

    @cached_property
    def free(self) -> tuple[Evaluator, ...]:
        """The evaluators that cost nothing."""
        return tuple(e for e in self.evaluators if e.seconds == 0)

    @cached_property
    def expensive(self) -> tuple[Evaluator, ...]:
        """The other evaluators, the quickest first."""
        return tuple(sorted((e for e in self.evaluators if e.seconds), key=lambda e: e.seconds))

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The metrics of the expensive evaluators, which models learn from trials."""
        return tuple(metric for e in self.expensive for metric in e.provides)

    def decode(self, rows: Matrix) -> tuple[Architecture, ...]:
        """Return the architectures of rows of picks."""
        return decode(self.space, rows, self.head)

    def known(self, picks: Matrix) -> Metrics:
        """Return the metrics of the free evaluators for rows that are not trials yet."""
        candidates = self.candidates(picks)
        return {name: v for e in self.free for name, v in answers(e, candidates).metrics.items()}

    def candidates(self, picks: Matrix) -> Candidates:
        """Return rows as evaluators are given them: in the space without a choice of dtype."""
        rows, int8 = self.space.split(picks)
        return Candidates(space=self.space.plain, picks=rows, head=self.head, int8=int8)

    def satisfies(self, metrics: Metrics, count: int) -> NDArray[np.bool_]:
        """Return which of `count` candidates satisfy the constraints on the given metrics."""
        feasible = np.ones(count, dtype=bool)
        for constraint in (c for c in self.limits if c.metric in metrics):
            feasible &= constraint.holds(metrics[constraint.metric])
        return feasible

    def keeps_limits(self, metrics: Metrics, count: int) -> NDArray[np.bool_]:
        """The former name of `satisfies`."""
        deprecated("Problem.keeps_limits", instead="Problem.satisfies", removed_in="0.3.0")
        return self.satisfies(metrics, count)

    def with_reward(self, metrics: Metrics) -> Metrics:
        """Return `metrics` with the reward, if there is one: NaN where a latency is below 0."""
        if not self.reward:
            return metrics
        with np.errstate(invalid="ignore"):  # a predicted latency may be negative
            return {**metrics, "reward": self.reward(metrics)}

    def scores(self, metrics: Metrics) -> Floats:
        """Return the objectives, all to be minimised, shape (n, objectives)."""
        return np.stack([o.sign * metrics[o.metric] for o in self.objectives], axis=1)

    def scores_so_far(self, metrics: Metrics) -> Floats:
        """Return what `scores` does for the objectives whose metrics are there."""
        if self.reward and {self.reward.accuracy, self.reward.latency} <= set(metrics):
            metrics = self.with_reward(metrics)
        there = [o for o in self.objectives if o.metric in metrics]
        return np.stack([o.sign * metrics[o.metric] for o in there], axis=1)

    def describe(self) -> Mapping[str, Any]:
        """Return what identifies the problem, as plain data."""
        return {
            "space": self.space.name,
            "choices": self.space.fingerprint,
            "evaluators": [identity(evaluator) for evaluator in self.evaluators],
            "objectives": [str(o) for o in self.objectives],
            "limits": [str(constraint) for constraint in self.limits],
            "reward": str(self.reward) if self.reward else None,
            **({"head": str(self.head)} if self.head else {}),
            **({"dtypes": list(self.space.dtypes)} if self.space.dtypes else {}),
        }


def is_slow(problem: Problem) -> bool:
    """Return whether some evaluator of `problem` is no look-up."""
    return any(evaluator.seconds > LOOKUP_SECONDS for evaluator in problem.expensive)


class Strategy(Protocol):
    """Proposes architectures, and learns from their trials.

    The same seed and the same tells give the same asks. Rows are canonical, in the space. `tell`
    may bring trials that were never asked for (a warm start). `batch` is the preferred number of
    candidates per ask.
    """

    @property
    def batch(self) -> int:
        """The preferred number of candidates per ask."""

    def ask(self, count: int) -> Matrix:
        """Return up to `count` rows of picks; none while nothing is running means finished."""

    def tell(self, trials: Trials) -> None:
        """Learn from finished trials."""
