"""NetAdapt (Yang et al., 2018): settings, rounds and result of a run, and the choice in a round.

Every round cuts the channels of one group. For each group the widest network that saves a step is
proposed; all proposals, or those on a short list, are fine-tuned briefly, and the best one starts
the next round. The paper has no short list and uses the L2 norm (`shortlist=0, importance="l2"`).
With, in addition, steps of 1 % and the choice "ratio", it is the variant used for MobileNetV3
(Howard et al., 2019, section 4.2), except that here a fraction refers to the present latency; an
amount in ms gives equal steps.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from nas.core.errors import BadValue, NasError, Unreachable, unknown
from nas.core.schema import Fraction, Milliseconds, Seconds, Texts
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.pruning.proposals import (
    Cuts,
    Meter,
    check_covered,
    floor_text,
    latency_meter,
    macs_meter,
    narrowest,
)
from nas.pruning.slicing import IMPORTANCES

CHOICES = ("accuracy", "ratio")
BY = ("latency", "macs")
DEFAULT_KINDS = ("hidden", "bottleneck", "stem", "head")
_STEP = re.compile(r"(?P<number>[0-9.]+(?:e-?[0-9]+)?)\s*(?P<unit>ms|M|%)?")
_UNITS = {"ms": "latency", "M": "macs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a round must save: a fraction `share` of the present cost, or `amount` in its unit."""

    share: float = 0.0
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str, *, by: str) -> "Step":
        """Return the step of "0.01", "1%", "2ms" or, in millions of multiply-adds, "3M".

        Raises:
            BadValue: if it is none of these, not above 0, or its unit does not fit `by`.
        """
        found = _STEP.fullmatch(text.strip())
        try:
            number = float(found["number"]) if found else 0.0
        except ValueError:
            number = 0.0
        unit = found["unit"] if found else None
        share = number / 100 if unit == "%" else number
        if number <= 0 or (unit not in _UNITS and share >= 1):
            raise BadValue(
                f"a step is a fraction (0.01 or 1%) or an amount (2ms or 3M), not {text!r}", "step"
            )
        if unit not in _UNITS:
            return cls(share=share)
        if _UNITS[unit] != by:
            raise BadValue(f"a step of {text} needs `by={_UNITS[unit]}`", "step")
        return cls(amount=number * 1e6 if unit == "M" else number)

    def of(self, cost: float) -> float:
        """Return how much of `cost` is to be saved."""
        return self.amount or self.share * cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a run, besides the network, the table, the data and the recipe.

    Pruning ends when the table predicts `target_ms` or less. A round saves `step` (see
    `Step.parse`) of the quantity `by`, "latency" or "macs", times `decay` to the power of the
    number of earlier rounds. `choose` selects the highest accuracy, or the best change of accuracy
    per unit saved ("ratio"). `prune` are kinds of channels (`nas.pruning.channels.KINDS`), cut to
    multiples of `multiple`, those of least `importance` first. In each round the `shortlist`
    proposals whose cut channels matter least for the loss, to first order, per unit saved are
    fine-tuned; 0 means all. A proposal is fine-tuned for `epochs`, or for `steps` if that is not 0
    (rounded to whole epochs above one; with both 0 it is only scored), and scored on the hold-out
    fraction `held_out` of the training images, which fine-tuning never sees. The result is
    fine-tuned for `final_epochs`.
    """

    target_ms: float
    step: str = "5%"
    decay: float = 1.0
    by: str = "latency"
    choose: str = "accuracy"
    prune: Texts = DEFAULT_KINDS
    multiple: int = 8
    importance: str = "taylor"
    shortlist: int = 4
    epochs: int = 1
    steps: int = 0
    final_epochs: int = 10
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("by", BY), ("choose", CHOICES), ("importance", IMPORTANCES)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if not 0 < self.target_ms < inf:
            raise BadValue(f"the target must be above 0 ms, not {self.target_ms:g}", "target_ms")
        for name in ("decay", "held_out"):
            if not 0 < getattr(self, name) <= 1 or (name, getattr(self, name)) == ("held_out", 1):
                raise BadValue(f"{name} must be a fraction, not {getattr(self, name):g}", name)
        for name in ("shortlist", "epochs", "steps", "final_epochs", "seed"):
            if getattr(self, name) < 0:
                raise BadValue(f"{name} must be 0 or more, not {getattr(self, name)}", name)
        Step.parse(self.step, by=self.by)

    def meter(self, table: LatencyTable) -> Meter:
        """Return the meter of the quantity that rounds save."""
        return latency_meter(table) if self.by == "latency" else macs_meter()

    def within(self, cost: float, *, round_number: int) -> float:
        """Return what a network of `cost` may cost after round `round_number`, counted from 1.

        For "latency", no round saves more than the target requires.
        """
        step = Step.parse(self.step, by=self.by).of(cost)
        within = cost - step * self.decay ** (round_number - 1)
        return max(within, self.target_ms) if self.by == "latency" else within


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A network's predicted latency, its size, and its accuracy.

    `held_out` is the accuracy on the hold-out images, by which proposals are scored; `top1` and
    `test` are those on the validation and test images, which pruning never sees. They are None if
    not known (yet), or if there are no such images.
    """

    latency_ms: Milliseconds
    macs: int
    params: int
    held_out: Fraction | None = None
    top1: Fraction | None = None
    test: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One proposal of a round: a group cut from `was` channels to `width`, and its result.

    If its fine-tuning failed, `point` is None and `error` says why.
    """

    group: str
    was: int
    width: int
    point: Point | None = None
    error: str = ""
    seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A finished round, counted from 1: all proposals tried, and the index of the chosen one."""

    number: int
    tried: tuple[Tried, ...]
    chosen: int
    point: Point

    @property
    def choice(self) -> Tried:
        """The proposal that the next round starts from."""
        return self.tried[self.chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a run: the given network, every round, and the final network.

    `note` says so if pruning ended above the target because nothing more could be cut.
    """

    arch: Architecture
    start: Point
    rounds: tuple[Round, ...]
    best_arch: Architecture
    best: Point
    note: str = ""

    def record(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "start": asdict(self.start),
            "rounds": [round_record(one) for one in self.rounds],
            "best": asdict(self.best),
        }


def round_record(one: Round) -> dict[str, Any]:
    """Return a round as plain data: its network, and what was cut."""
    choice = one.choice
    return {
        "round": one.number,
        **asdict(one.point),
        "group": choice.group,
        "was": choice.was,
        "width": choice.width,
        "tried": len(one.tried),
        "failed": sum(not tried.point for tried in one.tried),
    }


def choose(
    tried: Sequence[Tried], costs: Sequence[float], before: tuple[float, float], *, by: str
) -> int:
    """Return the index of the best proposal.

    `costs` are the costs of the proposals, `before` the cost and accuracy of the network that they
    were cut from. By "accuracy" the best is the most accurate; by "ratio" the one with the best
    change of accuracy per unit saved. Ties go to the cheapest, then to the first.

    Raises:
        NasError: if all have failed.
    """
    cost_before, top1_before = before
    ranks: dict[int, tuple[float, float]] = {}
    for i, (one, cost) in enumerate(zip(tried, costs, strict=True)):
        if one.point is not None and one.point.held_out is not None:
            gain = one.point.held_out - top1_before
            rank = gain if by == "accuracy" else gain / (cost_before - cost)
            ranks[i] = (rank, -cost)
    if not ranks:
        raise NasError(
            f"all {len(tried)} proposals of a round failed, the first with: {tried[0].error}; "
            "begin again with another `lr`, `batch` or `out`"
        )
    return max(ranks, key=lambda i: ranks[i])


def check(arch: Architecture, table: LatencyTable, settings: Settings) -> None:
    """Reject settings that cannot succeed, before any work.

    Raises:
        MissingEntry: if the table does not cover the architecture.
        Unreachable: if the target is not below the latency of `arch`, or below its latency with
            every group as narrow as possible.
        NasError: if the table has no operator model, or nothing may be cut.
    """
    check_covered(table, arch)
    meter = latency_meter(table)
    cuts = cuts_of(arch, settings)
    if not cuts.groups(arch):
        raise NasError(f"there are no channels of kind {', '.join(cuts.kinds)} to cut")
    start, floor = meter(arch), meter(narrowest(arch, cuts))
    if settings.target_ms >= start:
        raise Unreachable(
            f"the target of {settings.target_ms:g} ms is not below the {start:.4g} ms that "
            f"{table.name} predicts for the network as it is; give a lower `target_ms`"
        )
    if settings.target_ms < floor:
        raise Unreachable(
            f"pruning can reach {floor:.4g} ms, not {settings.target_ms:g}: that is with "
            f"{floor_text(arch, cuts)}; give a higher `target_ms`, a `multiple` below "
            f"{cuts.multiple}, or a smaller network"
        )


def cuts_of(arch: Architecture, settings: Settings) -> Cuts:
    """Return what may be cut of `arch`."""
    return Cuts(origin=arch, kinds=settings.prune, multiple=settings.multiple)
