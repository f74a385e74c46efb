"""Members of a front, and the reference architectures they are compared with."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core import data
from nas.core.errors import NotInSpace
from nas.core.extras import extra
from nas.latency.table import Latency
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.layers import lower
from nas.network.zoo import load_architecture, load_reference
from nas.searching.config import Setup
from nas.searching.evaluate import evaluate
from nas.searching.problem import Candidates, Metrics, Trials
from nas.space.rows import Picks
from nas.space.space import Matrix

logger = logging.getLogger(__name__)

FRACTIONS = ("top1", "top1_proxy")
"""Accuracy metrics that are fractions, shown in per cent; any other is shown as it is."""

JUDGED_SECONDS = 30.0
"""References are judged where that takes no longer for one; a training is not begun for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An architecture with everything that is reported of it.

    `accuracy` is on the scale of the run's accuracy metric, with `deviation` where it is
    predicted, and None where the architecture is no point of the space. `metrics` are those of its
    trial; for a reference those that are free. `outside` says in what the accuracy lies outside of
    what its model was fitted on, empty where it does not or nobody knows. `published` is the top-1
    of its paper, a fraction: another scale unless the metric is `top1`.
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
    published: float | None = None
    trial: int | None = None

    def gain(self, baseline: "Member | None") -> float | None:
        """Return the difference to the baseline's accuracy, on its scale; None where unknown."""
        if baseline is None or self.accuracy is None or baseline.accuracy is None:
            return None
        return self.accuracy - baseline.accuracy

    def gain_deviation(self, baseline: "Member | None") -> float | None:
        """Return one standard deviation of the gain where both are predicted, else None.

        The two errors are taken to be independent. What a search found errs upwards besides, since
        it was chosen for what the model says of it.
        """
        if baseline is None or self.deviation is None or baseline.deviation is None:
            return None
        return hypot(self.deviation, baseline.deviation)


_SHOWN = ("latency_ms", "macs", "params")


def record(member: Member, accuracy: str, baseline: Member | None) -> dict[str, Any]:
    """Return what a machine reads of a member; `accuracy` is the name of the run's metric."""
    return {
        "name": member.name,
        accuracy: member.accuracy,
        f"{accuracy}_deviation": member.deviation,
        f"{accuracy}_outside": member.outside,
        "gain": member.gain(baseline),
        "gain_deviation": member.gain_deviation(baseline),
        "latency_ms": member.latency.ms,
        "latency_low_ms": member.latency.low_ms,
        "latency_high_ms": member.latency.high_ms,
        "macs": member.macs,
        "params": member.params,
        **{k: v for k, v in member.metrics.items() if k not in _SHOWN and k != accuracy},
        "trial": member.trial,
        "fingerprint": member.arch.fingerprint,
        "picks": member.picks,
    }


def front_members(setup: Setup, trials: Trials, numbers: NDArray[np.int64]) -> tuple[Member, ...]:
    """Return the members for some trials, named "001", "002", ... in their order.

    The fastest comes first, or with one objective the best.
    """
    members = [_found(setup, trials, int(number)) for number in numbers]
    deviation = _deviation(setup, trials.picks[numbers])
    members = [replace(m, deviation=d) for m, d in zip(members, deviation, strict=True)]
    (first, *others) = setup.problem.objectives
    if others:
        members.sort(key=lambda member: member.latency.ms)
    else:
        members.sort(key=lambda member: first.sign * member.metrics[first.metric])
    return tuple(_named(member, f"{i:03d}") for i, member in enumerate(members, start=1))


def _found(setup: Setup, trials: Trials, number: int) -> Member:
    """Return the member for one trial, without a name and the deviation of its accuracy."""
    row = trials.picks[number]
    arch = setup.space.decode_row(row)
    metrics = {name: float(values[number]) for name, values in trials.metrics.items()}
    return Member(
        name="",
        arch=arch,
        picks=setup.space.unpack(row),
        latency=setup.table.predict(arch),
        macs=int(metrics["macs"]),
        params=int(metrics["params"]),
        metrics=metrics,
        accuracy=metrics[setup.accuracy],
        outside=_outside(setup, metrics[setup.accuracy]),
        trial=number,
    )


def reference(setup: Setup, name: str) -> Member:
    """Return the member for a bundled architecture.

    It has an accuracy where it is a point of the space and the judge takes seconds, not a training.

    Raises:
        MissingEntry: if the latency table does not cover it; see `covers`.
    """
    arch = load_architecture(name)
    published, counted, latency = load_reference(name), cost(arch), setup.table.predict(arch)
    member = Member(
        name=name,
        arch=replace(arch, name=name),
        picks=None,
        latency=latency,
        macs=counted.macs,
        params=counted.params,
        metrics={"latency_ms": latency.ms, **asdict(counted)},
        published=published.top1 if published else None,
    )
    try:
        picks = setup.space.encode(arch)
    except NotInSpace:
        return member
    row = setup.space.pack(picks)[None]
    free = {metric: float(values[0]) for metric, values in setup.problem.known(row).items()}
    member = replace(member, picks=picks, metrics=free)
    if setup.judge.seconds > JUDGED_SECONDS:
        return member
    judged = evaluate(replace(setup.problem, limits=()), row)
    if not judged.ok[0]:
        return member
    accuracy = float(judged.metrics[setup.accuracy][0])
    return replace(
        member,
        accuracy=accuracy,
        deviation=_deviation(setup, row)[0],
        outside=_outside(setup, accuracy),
    )


def references(setup: Setup) -> tuple[Member, ...]:
    """Return the members for the bundled architectures that the latency table covers, by name."""
    names = data.bundled("architectures")
    return tuple(reference(setup, name) for name in names if covers(setup, name))


def covers(setup: Setup, name: str) -> bool:
    """Tell whether the latency table has an answer for every unit of a bundled architecture."""
    return all(map(setup.table.covers, lower(load_architecture(name))))


def left_out(setup: Setup) -> str:
    """Say in one line which bundled architectures cannot be compared with; empty where all can."""
    names = [name for name in data.bundled("architectures") if not covers(setup, name)]
    if not names:
        return ""
    base = setup.space.baseline
    without = f"; without {base} there are no differences to it" if base in names else ""
    table = setup.table.name
    return (
        f"not compared, as latency table {table} lacks units of them: {', '.join(names)}{without}"
    )


def _named(member: Member, name: str) -> Member:
    return replace(member, name=name, arch=replace(member.arch, name=name))


def _deviation(setup: Setup, picks: Matrix) -> list[float | None]:
    candidates = Candidates(space=setup.space, picks=picks)
    values: Metrics = {}
    if len(picks):
        with extra("deviations", logger.warning):
            values = setup.judge.deviation(candidates)
    return list(values[setup.accuracy].tolist()) if values else [None] * len(picks)


def _outside(setup: Setup, accuracy: float) -> str:
    """Return what the judge says of an accuracy's range, if it can say anything."""
    said = getattr(setup.judge, "outside", None)
    return str(said(accuracy)) if said else ""
