"""Propose narrower architectures: for each group, the most channels within a budget."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from nas.core.errors import BadValue, MissingEntry, NasError, unknown
from nas.core.text import few
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost_of
from nas.network.layers import Shape, Unit
from nas.network.lowering import lower, lower_block
from nas.pruning.channels import groups, narrowed
from nas.pruning.tracing import KINDS, Group

Meter = Callable[[Architecture], float]
"""Returns the cost of an architecture: milliseconds, or multiply-adds."""


_HALVINGS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """What may be cut: groups of these `kinds`, to multiples of `multiple` channels.

    `origin` is the architecture before any cut, whose ratios squeeze-and-excitation keeps.
    """

    origin: Architecture
    kinds: tuple[str, ...]
    multiple: int

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise BadValue(f"multiple must be 1 or more, not {self.multiple}", "multiple")
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown("kind of channels", kind, KINDS)

    def groups(self, arch: Architecture) -> tuple[Group, ...]:
        """Return the groups of `arch`, a cut `origin`, that may be cut further."""
        own = "squeeze" in self.kinds
        found = groups(arch, origin=self.origin, own_squeeze=own)
        return tuple(group for group in found if group.kind in self.kinds)

    def narrower(self, arch: Architecture, group: Group) -> Iterator[tuple[int, Architecture]]:
        """Yield every narrower width of a group, widest first, with the narrowed `arch`."""
        multiple = self.multiple
        for width in range((group.width - 1) // multiple * multiple, 0, -multiple):
            try:
                yield width, narrowed(arch, group, width)
            except BadValue:  # a block would lose its expansion
                continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An architecture with one group cut from `was` channels to `width`, and its `cost`."""

    group: Group
    width: int
    arch: Architecture
    cost: float

    @property
    def was(self) -> int:
        """The channels of the group before the cut."""
        return self.group.width


def latency_meter(table: LatencyTable) -> Meter:
    """Return a function that predicts milliseconds like `table.predict`, caching units.

    Raises:
        NasError: if the table has no operator model, which most channel counts need.
    """
    if table.model is None:
        raise NasError(
            f"latency table {table.name!r} has measured units only, and no operator model for the "
            "channel counts between them; use a table that has one"
        )
    return _meter(
        lambda unit: (table.unit_ms(unit), table.weights_of(unit)),
        lambda sums: float(table.total_ms(*sums)),
    )


def macs_meter() -> Meter:
    """Return a function that counts multiply-adds like `nas.cost`, caching units."""
    return _meter(lambda unit: (cost_of(unit).macs, 0), lambda sums: float(sums[0]))


_Pair = tuple[float, float]


def _meter(of_unit: Callable[[Unit], _Pair], whole: Callable[[_Pair], float]) -> Meter:
    """Return a meter that adds two numbers up over the units, each computed once."""
    known: dict[tuple[Block, Shape], tuple[_Pair, Shape]] = {}
    several: dict[Unit, _Pair] = {}

    def meter(arch: Architecture) -> float:
        if any(block.inputs for _, block in arch.named_blocks()):
            units = lower(arch)
            several.update({unit: of_unit(unit) for unit in units if unit not in several})
            first, second = zip(*(several[unit] for unit in units), strict=True)
            return whole((sum(first), sum(second)))
        shape: Shape = (arch.input_channels, arch.resolution, arch.resolution)
        total, more = 0.0, 0.0
        for _, block in arch.named_blocks():
            key = (block, shape)
            if key not in known:
                unit = lower_block(block, shape)
                known[key] = (of_unit(unit), unit.out_shape)
            (value, other), shape = known[key]
            total, more = total + value, more + other
        return whole((total, more))

    return meter


def check_covered(table: LatencyTable, arch: Architecture) -> None:
    """Reject a table that cannot predict the latency of `arch`.

    Raises:
        MissingEntry: if it lacks units; see `LatencyTable.missing`.
    """
    absent = tuple(unit for unit in lower(arch) if not table.covers(unit))
    if absent:
        raise table.missing(absent)


def widest(
    arch: Architecture, group: Group, cuts: Cuts, meter: Meter, *, within: float
) -> Proposal | None:
    """Return the proposal with most channels of `group` that costs at most `within`, if any.

    Latency need not fall with every channel, so all widths are tried, starting at the widest.
    """
    for width, small in cuts.narrower(arch, group):
        cost = _cost(meter, small)
        if cost <= within:
            return Proposal(group=group, width=width, arch=small, cost=cost)
    return None


def _cost(meter: Meter, arch: Architecture) -> float:
    try:
        return meter(arch)
    except MissingEntry:  # the runtime could not run such a unit
        return inf


def proposals(
    arch: Architecture, cuts: Cuts, meter: Meter, *, within: float
) -> tuple[Proposal, ...]:
    """Return the widest proposal of each group that can bring `arch` down to `within` by itself.

    If none can, the step from the present cost is halved until one can. The result is empty if no
    cut of a single group makes the network cheaper.
    """
    now = meter(arch)
    for _ in range(_HALVINGS):
        found = (widest(arch, g, cuts, meter, within=within) for g in cuts.groups(arch))
        if made := tuple(proposal for proposal in found if proposal):
            return made
        within = (within + now) / 2
    return ()


def shortlist(
    found: Sequence[Proposal], losses: Sequence[float], *, before: float, count: int
) -> tuple[Proposal, ...]:
    """Return the `count` proposals with the least loss per cost saved, in their order.

    `before` is the cost of the network that they were cut from; a `count` of 0 means all. Ties go
    to the first ones.
    """
    if not count:
        return tuple(found)
    rates = [loss / (before - one.cost) for loss, one in zip(losses, found, strict=True)]
    best = sorted(range(len(found)), key=lambda i: rates[i])[:count]
    return tuple(found[i] for i in sorted(best))


def narrowest(arch: Architecture, cuts: Cuts) -> Architecture:
    """Return `arch` with every group as narrow as possible."""
    for name in [group.name for group in cuts.groups(arch)]:
        for group in (g for g in cuts.groups(arch) if g.name == name):
            *_, (_, arch) = ((0, arch), *cuts.narrower(arch, group))
    return arch


def floor_text(arch: Architecture, cuts: Cuts) -> str:
    """Return the widths of some groups in the narrowest `arch` as text."""
    least = narrowest(arch, cuts)
    return few([f"{group.name} at {group.width}" for group in cuts.groups(least)], most=4)
