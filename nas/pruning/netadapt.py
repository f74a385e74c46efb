"""NetAdapt (Yang et al., 2018): the settings, rounds and result of a run, and the choice.

Every round cuts the channels of one group. For each group the widest network that saves a step is
proposed; all proposals, or those on a short list, are fine-tuned for a short time, and the best one
is the start of the next round. The paper has no short list and uses the L2 norm (`shortlist=0,
importance="l2"`). With steps of 1 % and the choice "ratio" besides, it is the variant behind
MobileNetV3 (Howard et al., 2019, section 4.2), except that a share is one of the present latency
here; an amount in ms gives equal steps.
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
    """What a round must save: `share` of the present cost, or `amount` in its own unit."""

    share: float = 0.0
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str, *, by: str) -> "Step":
        """Return the step of "0.01", "1%", "2ms" or, in millions of multiply-adds, "3M".

        Raises:
            BadValue: if it is none of these, not above 0, or of another unit than `by`.
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
                f"a step is a share as 0.01 or 1%, or an amount as 2ms or 3M, not {text!r}", "step"
            )
        if unit not in _UNITS:
            return cls(share=share)
        if _UNITS[unit] != by:
            raise BadValue(f"a step of {text} needs `by={_UNITS[unit]}`", "step")
        return cls(amount=number * 1e6 if unit == "M" else number)

    def of(self, cost: float) -> float:
        """Return what is to be saved of `cost`."""
        return self.amount or self.share * cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides a run beside the network, the table, the data and the recipe.

    Pruning ends at `target_ms` or below, by the table. A round saves `step` (see `Step.parse`) of
    the quantity `by`, "latency" or "macs", times `decay` to the power of the rounds before.
    `choose` takes the highest accuracy, or its best change for what is saved ("ratio"). `prune` are
    kinds of channels (`nas.pruning.channels.KINDS`), cut to multiples of `multiple`, the least by
    `importance` first. `shortlist` proposals are fine-tuned in a round, those whose cut channels
    matter least for the loss, to first order, for every unit saved; 0 for all. A proposal is
    fine-tuned for `epochs`, or for `steps` where that is not 0 (rounded to whole epochs above one;
    with both 0 it is only scored), and scored on the hold-out share `held_out` of the training
    images, which no fine-tuning sees; the result is fine-tuned for `final_epochs`.
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
                raise BadValue(f"{name} must be a share, not {getattr(self, name):g}", name)
        for name in ("shortlist", "epochs", "steps", "final_epochs", "seed"):
            if getattr(self, name) < 0:
                raise BadValue(f"{name} must be 0 or more, not {getattr(self, name)}", name)
        Step.parse(self.step, by=self.by)

    def meter(self, table: LatencyTable) -> Meter:
        """Return the meter of what a round saves."""
        return latency_meter(table) if self.by == "latency" else macs_meter()

    def within(self, cost: float, *, round_number: int) -> float:
        """Return what a network of `cost` may cost after round `round_number`, counted from 1.

        By "latency" no round saves more than the target needs.
        """
        step = Step.parse(self.step, by=self.by).of(cost)
        within = cost - step * self.decay ** (round_number - 1)
        return max(within, self.target_ms) if self.by == "latency" else within


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A network's predicted latency, its size, and its accuracy.

    `held_out` is the accuracy on the hold-out images, which score proposals; `top1` that on the
    validation images and `test` on the test images, which pruning never sees. None where it is not
    known (yet), or there are no such images.
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

    `point` is None where its fine-tuning failed, and `error` says why.
    """

    group: str
    was: int
    width: int
    point: Point | None = None
    error: str = ""
    seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A finished round, counted from 1: all that was tried, and the number of the chosen one."""

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
    """The result of a run: the network before, every round, the network at the end.

    `note` tells if pruning ended above the target because nothing more could be cut.
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
    """Return a round as plain data: its network, and what was cut for it."""
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
    """Return the number of the best proposal.

    `costs` are those of the proposals, `before` is the cost and the accuracy of the network that
    they came from. By "accuracy" it is the most accurate; by "ratio" the one whose accuracy
    changes best for every unit saved. Of equals the cheapest, then the first.

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
    """Refuse what cannot succeed, before any work.

    Raises:
        MissingEntry: if the table does not cover the architecture.
        Unreachable: if the target lies at or above the latency of `arch`, or below what is left of
            it when every group is as narrow as it may be.
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
            f"{floor_text(arch, cuts)}; give a higher `target_ms`, a lower `multiple` than "
            f"{cuts.multiple}, or a smaller network"
        )


def cuts_of(arch: Architecture, settings: Settings) -> Cuts:
    """Return what may be cut of `arch`."""
    return Cuts(origin=arch, kinds=settings.prune, multiple=settings.multiple)
