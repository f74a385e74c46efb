"""Find the channels of an architecture that can only be cut together.

They form a group: the output of a convolution with its normalisation and depthwise filters, the
layers that read it, and, across shortcuts and sums, the layers that add to it. Groups are found in
the lowered layers, so a new kind of block needs no change here.

The channels between two layers are several groups, side by side. If a later layer reads only part
of a group's channels, or adds those of two groups to it, that group is traced again as several.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from nas.network.blocks import IMAGE, Architecture
from nas.network.layers import (
    Add,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Pool,
    Shape,
    Shuffle,
    Split,
    Squeeze,
    Unit,
    Upsample,
)
from nas.network.lowering import lower, sources
from nas.network.multipliers import scaled_se
from nas.network.weights import join

KINDS = ("hidden", "bottleneck", "stem", "head", "squeeze")
"""Kinds of channels: inside a block, between blocks of the stages, from the stem, in the head, and
inside a squeeze-and-excitation if that does not follow the channels it squeezes."""

_NORM = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """An axis of a weight along which the channels of a group lie, from index `start` on.

    `makes` is True if the channels are the weight's output: for filters and normalisations.
    """

    weight: str
    axis: int
    makes: bool
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Channels that can only be cut together.

    `fields` are the blocks' fields that count the channels, as (place, field), repeated if they
    count them several times. `followers` are the squeeze-and-excitations on the channels, whose
    inner width keeps its ratio.
    """

    name: str
    kind: str
    width: int
    slots: tuple[Slot, ...]
    fields: tuple[tuple[str, str], ...]
    followers: tuple["Follower", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A group whose width is a fraction of another's, in multiples of `divisor`."""

    group: Group
    share: float
    divisor: int

    def width(self, leader: int) -> int:
        """Return the width for `leader` channels of the other group; it never grows."""
        return min(self.group.width, scaled_se(self.share * leader, self.divisor))


Value = tuple[int, ...]
"""The numbers of the groups that make up the channels of a map, in order."""


def trace(arch: Architecture) -> Mapping[str, Group]:
    """Return every group of `arch` by name; squeeze-and-excitations are groups of their own.

    The channels of images, the outputs of the network, and single channels are not included.
    """
    cuts: dict[str, set[int]] = defaultdict(set)
    while True:
        found = _Channels(cuts=cuts)
        ends = _follow(arch, found)
        if not found.wanted:
            return {group.name: group for group in found.groups(without=ends)}
        for origin, offset in found.wanted:
            cuts[origin].add(offset)


def _follow(arch: Architecture, found: "_Channels") -> Value:
    """Trace the channels of all units; return the output channels of the network."""
    values = {IMAGE: found.new(arch.input_channels, IMAGE)}
    for unit, names in sources(lower(arch)):
        values[unit.name] = _through_unit(found, unit, [values[name] for name in names])
    places = arch.detector.outputs if arch.detector else (arch.named_blocks()[-1][0],)
    return sum((values[place] for place in places), values[IMAGE])


def _through_unit(found: "_Channels", unit: Unit, inputs: Sequence[Value]) -> Value:
    start: Value = sum(inputs, ())
    inner = now = start
    if isinstance(unit.layers[0], Add):
        start = now = found.join(*inputs)
    for layer in unit.layers:
        inner, now = now, _through(found, unit, layer, now)
    found.note(start, unit.name, "in_channels")
    if unit.block.hidden_channels:
        found.note(inner, unit.name, "hidden_channels")
    found.note(now, unit.name, "out_channels")
    return now if unit.shortcut == "none" else found.join(start, now)


def _through(found: "_Channels", unit: Unit, layer: Layer, now: Value) -> Value:
    """Record what `layer` does to the channels `now`, and return its output channels."""
    name = join(unit.name, layer.name)
    match layer:
        case Conv():
            return _through_conv(found, layer, name, now)
        case Squeeze():
            _squeeze(found, unit, layer, now)
            return now
        case Linear():
            out = found.new(layer.out_features, name)
            found.slot(now, f"{name}.weight", 1)
            found.slot(out, f"{name}.weight", 0, makes=True)
            found.slot(out, f"{name}.bias", 0, makes=True)
            return out
        case Split(out_shape=(channels, _, _), first=first):
            before, part = found.part(now, 0, first), found.part(now, first, channels)
            found.note(before, unit.name, "first_channel")
            return part
        case Shuffle():
            out = found.new(layer.shape[0], name)
            found.fix(*now, *out)  # both halves would have to stay equally wide
            return out
        case Pool() | Upsample() | MaxPool() | Concat() | Add():
            return now


def _through_conv(found: "_Channels", layer: Conv, name: str, now: Value) -> Value:
    inputs, outputs = layer.in_shape[0], layer.out_shape[0]
    out = now if _is_depthwise(layer) else found.new(outputs, name)
    if layer.groups not in (1, inputs):
        found.fix(*now, *out)
    elif out != now:
        found.slot(now, f"{name}.weight", 1)
    for weight in ("weight", *_NORM) if layer.norm else ("weight", "bias"):
        found.slot(out, f"{name}.{weight}", 0, makes=True)
    return out


def _squeeze(found: "_Channels", unit: Unit, layer: Squeeze, now: Value) -> None:
    name = join(unit.name, layer.name)
    inner = found.new(layer.channels, name)
    found.note(inner, unit.name, "se_channels")
    found.slot(now, f"{name}.reduce.weight", 1)
    found.slot(inner, f"{name}.reduce.weight", 0, makes=True)
    found.slot(inner, f"{name}.reduce.bias", 0, makes=True)
    found.slot(inner, f"{name}.expand.weight", 1)
    found.slot(now, f"{name}.expand.weight", 0)
    found.slot(now, f"{name}.expand.bias", 0)


def _is_depthwise(layer: Conv) -> bool:
    shape: Shape = layer.in_shape
    return layer.groups == shape[0] == layer.out_shape[0] > 1


@dataclass(slots=True, kw_only=True)
class _Channels:
    """Groups by number, with their widths, slots and fields; `join` unites two.

    `cuts` are the channels at which a layer's output is split into groups, by the layer's name;
    `wanted` are cuts that turned out to be missing.
    """

    cuts: Mapping[str, set[int]]
    wanted: list[tuple[str, int]] = field(default_factory=list)
    origins: list[tuple[str, int]] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    slots: list[list[Slot]] = field(default_factory=list)
    fields: list[list[tuple[str, str]]] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)

    def new(self, width: int, origin: str) -> Value:
        """Return new channels, the output of the layer `origin`."""
        edges = [0, *sorted(self.cuts.get(origin, ())), width]
        parts = pairwise(edges)
        return tuple(self._new(after - before, (origin, before)) for before, after in parts)

    def _new(self, width: int, origin: tuple[str, int]) -> int:
        self.same.append(len(self.same))
        self.widths.append(width)
        self.origins.append(origin)
        self.slots.append([])
        self.fields.append([])
        return len(self.same) - 1

    def find(self, number: int) -> int:
        while self.same[number] != number:
            number = self.same[number]
        return number

    def edges(self, value: Value) -> list[int]:
        """Return the channel at which each group of `value` begins, and the end of the last."""
        return list(accumulate((self.widths[number] for number in value), initial=0))

    def part(self, value: Value, first: int, count: int) -> Value:
        """Return the groups of the `count` channels that begin at `first`."""
        for edge in (first, first + count):
            self._want(value, edge)
        starts = self.edges(value)
        return tuple(n for n, at in zip(value, starts, strict=False) if first <= at < first + count)

    def _want(self, value: Value, edge: int) -> None:
        """Request a cut at channel `edge`, which lies inside a group."""
        starts = self.edges(value)
        for number, at, end in zip(value, starts, starts[1:], strict=False):
            if at < edge < end:
                origin, offset = self.origins[number]
                self.wanted.append((origin, offset + edge - at))

    def join(self, first: Value, *others: Value) -> Value:
        """Unite the groups of channels that are added; return the first channels."""
        for other in others:
            for edge in self.edges(other):
                self._want(first, edge)
            for edge in self.edges(first):
                self._want(other, edge)
            for one, two in zip(first, other, strict=False):
                self._join(one, two)
        return first

    def _join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        if first != second:
            self.same[second] = first
            self.slots[first] += self.slots[second]
            self.fields[first] += self.fields[second]

    def fix(self, *numbers: int) -> None:
        self.fixed.update(numbers)

    def slot(self, value: Value, weight: str, axis: int, *, makes: bool = False) -> None:
        for number, start in zip(value, self.edges(value), strict=False):
            slot = Slot(weight=weight, axis=axis, makes=makes, start=start)
            self.slots[self.find(number)].append(slot)

    def note(self, value: Value, place: str, name: str) -> None:
        for number in value:
            self.fields[self.find(number)].append((place, name))

    def groups(self, *, without: Value) -> Iterator[Group]:
        fixed = {self.find(number) for number in (*self.fixed, *without)}
        for number, width in enumerate(self.widths):
            if self.find(number) == number and number not in fixed and width > 1:
                yield self._group(number)

    def _group(self, number: int) -> Group:
        fields = tuple(self.fields[number])
        place, kind = _kind(fields)
        part = f".{self.origins[number][1]}" if self.origins[number][1] else ""
        return Group(
            name=f"{place}.{'out' if kind not in ('hidden', 'squeeze') else kind}{part}",
            kind=kind,
            width=self.widths[number],
            slots=tuple(self.slots[number]),
            fields=fields,
        )


def _kind(fields: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Return the place that first produces the channels, and the kind of their group."""
    outs = [place for place, name in fields if name == "out_channels"]
    if not outs:
        place, name = fields[0]
        return place, "squeeze" if name == "se_channels" else "hidden"
    section = outs[0].partition(".")[0]
    return outs[0], {"stages": "bottleneck"}.get(section, section)
