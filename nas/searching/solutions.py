"""Solutions of a front, and the known architectures they are compared with."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core import data
from nas.core.errors import NotInSpace
from nas.core.optional import optional
from nas.latency.table import Latency
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.zoo import published_accuracy
from nas.searching.evaluate import evaluate
from nas.searching.plugin_checks import blamed, check_deviation
from nas.searching.problem import Trials
from nas.searching.setup import Setup
from nas.searching.warm_start import known_backbone
from nas.space.rows import Picks
from nas.space.space import Matrix

logger = logging.getLogger(__name__)

MAX_KNOWN_SECONDS = 30.0
"""Known architectures are evaluated where that takes no longer for one, never by a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """An architecture with everything that is reported of it.

    `accuracy` is on the scale of the run's accuracy metric, with its standard `deviation` where it
    is predicted, and None where the architecture is not in the space. `metrics` are those of its
    trial. `outside` says how the accuracy lies outside the range that its model was fitted on,
    `judged` is a second opinion on it. `published` is the top-1 of its paper, a fraction: another
    scale unless the metric is `top1`. `dtype` is what it runs in, where the search tells.
    """

    name: str
    arch: Architecture
    picks: Picks | None
    latency: Latency
    macs: int
    params: int
    metrics: Mapping[str, float]
    accuracy: float | None = None
    deviation: float | None = None
    outside: str = ""
    judged: float | None = None
    published: float | None = None
    trial: int | None = None
    dtype: str = ""

    def gain(self, baseline: "Solution | None") -> float | None:
        """Return the difference to the baseline's accuracy; None where unknown."""
        if baseline is None or self.accuracy is None or baseline.accuracy is None:
            return None
        return self.accuracy - baseline.accuracy

    def gain_deviation(self, baseline: "Solution | None") -> float | None:
        """Return the standard deviation of the gain where both are predicted, else None.

        The errors are taken as independent. Solutions are also biased upwards, since the search
        chose them by the same predictions.
        """
        if baseline is None or self.deviation is None or baseline.deviation is None:
            return None
        return hypot(self.deviation, baseline.deviation)


_SHOWN = ("latency_ms", "macs", "params")


def record(solution: Solution, accuracy: str, baseline: Solution | None) -> dict[str, Any]:
    """Return what a machine reads of a solution; `accuracy` is the name of the run's metric."""
    return {
        "name": solution.name,
        **({"dtype": solution.dtype} if solution.dtype else {}),
        accuracy: solution.accuracy,
        f"{accuracy}_deviation": solution.deviation,
        f"{accuracy}_outside": solution.outside,
        **({} if solution.judged is None else {f"{accuracy}_judged": solution.judged}),
        "gain": solution.gain(baseline),
        "gain_deviation": solution.gain_deviation(baseline),
        "latency_ms": solution.latency.ms,
        "latency_low_ms": solution.latency.low_ms,
        "latency_high_ms": solution.latency.high_ms,
        "macs": solution.macs,
        "params": solution.params,
        **{k: v for k, v in solution.metrics.items() if k not in _SHOWN and k != accuracy},
        "trial": solution.trial,
        "fingerprint": solution.arch.fingerprint,
        "picks": solution.picks,
    }


def front_solutions(
    setup: Setup, trials: Trials, numbers: NDArray[np.int64]
) -> tuple[Solution, ...]:
    """Return the solutions for some trials, named "001", "002", ... in their order.

    The fastest comes first, or with one objective the best.
    """
    archs = setup.problem.decode(trials.picks[numbers])
    latencies = setup.latencies(archs, setup.dtypes(trials.picks[numbers]))
    found = zip(archs, latencies, numbers.tolist(), strict=True)
    solutions = [_found(setup, trials, number, arch, latency) for arch, latency, number in found]
    uncertainties = _uncertainties(
        setup, trials.picks[numbers], [s.accuracy or 0.0 for s in solutions]
    )
    solutions = [
        replace(s, **uncertainty) for s, uncertainty in zip(solutions, uncertainties, strict=True)
    ]
    (first, *others) = setup.problem.objectives
    if others:
        solutions.sort(key=lambda solution: solution.latency.ms)
    else:
        solutions.sort(key=lambda solution: first.sign * solution.metrics[first.metric])
    return tuple(_named(solution, f"{i:03d}") for i, solution in enumerate(solutions, start=1))


def _found(
    setup: Setup, trials: Trials, number: int, arch: Architecture, latency: Latency
) -> Solution:
    """Return the solution for one trial, without a name and the uncertainty of its accuracy."""
    metrics = {name: float(values[number]) for name, values in trials.metrics.items()}
    return Solution(
        name="",
        arch=arch,
        picks=setup.space.unpack(trials.picks[number]),
        latency=latency,
        macs=int(metrics["macs"]),
        params=int(metrics["params"]),
        metrics=metrics,
        accuracy=metrics[setup.accuracy],
        trial=number,
        dtype=setup.dtypes(trials.picks[number][None])[0],
    )


def known_solution(setup: Setup, name: str) -> Solution:
    """Return the solution for a bundled architecture, with the head in a search for detectors.

    It has an accuracy where it is in the space and the evaluator needs no training.

    Raises:
        MissingEntry: if the latency table does not cover it; see `covers`.
    """
    arch = known(setup, name)
    published, counted, latency = published_accuracy(name), cost(arch), setup.table.predict(arch)
    solution = Solution(
        name=arch.name,
        arch=arch,
        picks=None,
        latency=latency,
        macs=counted.macs,
        params=counted.params,
        metrics={"latency_ms": latency.ms, **asdict(counted)},
        published=published.top1 if published else None,
        dtype=next(iter(setup.tables)),
    )
    try:
        picks = setup.space.encode(known_backbone(setup.problem, name))
    except NotInSpace:
        return solution
    row = setup.space.pack(picks)[None]
    free = {metric: float(values[0]) for metric, values in setup.problem.known(row).items()}
    solution = replace(solution, picks=picks, metrics=free)
    if setup.evaluator.seconds > MAX_KNOWN_SECONDS:
        return solution
    judged = evaluate(replace(setup.problem, limits=()), row)
    if not judged.ok[0]:
        return solution
    accuracy = float(judged.metrics[setup.accuracy][0])
    metrics = {name: float(values[0]) for name, values in judged.metrics.items()}
    (uncertainties,) = _uncertainties(setup, row, [accuracy])
    return replace(solution, accuracy=accuracy, metrics=metrics, **uncertainties)


def known_solutions(setup: Setup) -> tuple[Solution, ...]:
    """Return the solutions for the bundled architectures that the latency table covers, by name."""
    names = data.bundled("architectures")
    return tuple(known_solution(setup, name) for name in names if covers(setup, name))


def known(setup: Setup, name: str) -> Architecture:
    """Return a bundled architecture as the search has it, a detector in one for these.

    Raises:
        BadValue: if the head does not fit it.
    """
    backbone = replace(known_backbone(setup.problem, name), name=name)
    return setup.problem.head(backbone) if setup.problem.head else backbone


def covers(setup: Setup, name: str) -> bool:
    """Return whether the latency table covers every unit of a bundled architecture."""
    return all(map(setup.table.covers, lower(known(setup, name))))


def left_out(setup: Setup) -> str:
    """Return a line on the bundled architectures that cannot be compared; empty if all can."""
    names = [name for name in data.bundled("architectures") if not covers(setup, name)]
    if not names:
        return ""
    base = setup.space.baseline
    without = f"; without {base} there are no differences to it" if base in names else ""
    table = setup.table.name
    return (
        f"not compared, as latency table {table} lacks units of them: {', '.join(names)}{without}"
    )


def _named(solution: Solution, name: str) -> Solution:
    return replace(solution, name=name, arch=replace(solution.arch, name=name))


def _uncertainties(
    setup: Setup, picks: Matrix, accuracies: Sequence[float]
) -> list[dict[str, Any]]:
    """Return `deviation`, `outside` and `judged` of solutions, as far as the evaluator can tell.

    There is no second opinion on what lies outside of the data.
    """
    candidates = setup.problem.candidates(picks)
    evaluator, count = setup.evaluator, len(picks)
    deviation: list[float | None] = [None] * count
    judged: list[float | None] = [None] * count
    outside = [""] * count
    if count:
        with optional("deviations", logger.warning):
            values = evaluator.deviation(candidates)
            with blamed(evaluator, "deviation"):
                check_deviation(values, evaluator.provides, count=count)
            if values:
                deviation = [None if isnan(v) else v for v in values[setup.accuracy].tolist()]
            if said := getattr(evaluator, "outside", None):
                outside = [str(said(accuracy)) for accuracy in accuracies]
            elif said := getattr(evaluator, "beyond", None):
                outside = list(map(str, said(candidates)))
            second = getattr(evaluator, "judged", None)
            if second and (others := second(candidates)) is not None:
                judged = [None if o else v for o, v in zip(outside, others.tolist(), strict=True)]
    rows = zip(deviation, outside, judged, strict=True)
    return [{"deviation": d, "outside": text, "judged": other} for d, text, other in rows]
