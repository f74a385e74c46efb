"""Find the channels of an architecture that can be cut, and cut them.

Channels that must be cut together are one group: the output of a convolution with its normalisation
and depthwise filters, the layers that read it, and, across shortcuts, those that add to it. Groups
are found in the lowered layers, so a new kind of block needs no change here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block, Blocks
from nas.network.layers import Conv, Layer, Linear, Pool, Shape, Squeeze, Unit, lower, lower_block
from nas.network.multipliers import scaled_se, se_divisor_of
from nas.network.weights import join

KINDS = ("hidden", "bottleneck", "stem", "head", "squeeze")
"""Inside of a block; between blocks of the stages; from the stem; in the head; and inside of
squeeze-and-excitation, where that does not follow the channels it squeezes."""

_NORM = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """An axis of a weight along which the channels of a group lie.

    `makes` is for the weights whose output the channels are: a filter and its normalisation.
    """

    weight: str
    axis: int
    makes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Channels that can only be cut together.

    `fields` are the blocks' fields with their number, as (place, field). `followers` are the
    squeeze-and-excitations on them, whose inner width keeps its ratio to theirs.
    """

    name: str
    kind: str
    width: int
    slots: tuple[Slot, ...]
    fields: tuple[tuple[str, str], ...]
    followers: tuple["Follower", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A group whose width is a share of another's, in multiples of `divisor`."""

    group: Group
    share: float
    divisor: int

    def width(self, leader: int) -> int:
        """Return the width beside `leader` channels; it never grows."""
        return min(self.group.width, scaled_se(self.share * leader, self.divisor))


def groups(
    arch: Architecture, *, origin: Architecture | None = None, own_squeeze: bool = False
) -> tuple[Group, ...]:
    """Return the groups of `arch` that can be cut, in the order of the forward pass.

    The channels of images, the classes (the output of the last block), and single channels are left
    out. The widths of squeeze-and-excitation follow the channels that they squeeze, by their ratio
    in `origin` (by default `arch`, whose ratio rounding changes with many small cuts); with
    `own_squeeze` they are groups of their own.
    """
    found = _trace(arch)
    if own_squeeze:
        return tuple(found.values())
    first = _trace(origin) if origin else found
    divisor = se_divisor_of(origin or arch)
    inner = {group.name: group for group in found.values() if group.kind == "squeeze"}
    return tuple(
        replace(group, followers=tuple(_followers(group, inner, first, divisor)))
        for group in found.values()
        if group.kind != "squeeze"
    )


def _followers(
    group: Group, inner: Mapping[str, Group], origin: Mapping[str, Group], divisor: int
) -> Iterator[Follower]:
    for name in _squeezes(group):
        if name in inner:
            share = origin[name].width / origin[group.name].width
            yield Follower(group=inner[name], share=share, divisor=divisor)


def _squeezes(group: Group) -> Iterator[str]:
    """Yield the names of the squeeze-and-excitations that read the channels of `group`."""
    for slot in group.slots:
        if slot.weight.endswith("reduce.weight") and slot.axis == 1:
            yield slot.weight.removesuffix(".reduce.weight")


def narrowed(arch: Architecture, group: Group, width: int) -> Architecture:
    """Return `arch` with `width` channels in one of its groups, and the same layers otherwise.

    Where a block without a shortcut would get one, because its input and output are now equally
    wide, its `skip` becomes "none".

    Raises:
        BadValue: if the width is not between 1 and the group's, or a block would lose its
            expansion, which needs other channels than the input's.
    """
    if not 1 <= width <= group.width:
        raise BadValue(f"{group.name} can have 1 to {group.width} channels, not {width}", "width")
    changes: dict[str, dict[str, int]] = {}
    parts = [(group, width), *((f.group, f.width(width)) for f in group.followers)]
    for part, channels in parts:
        for place, name in part.fields:
            changes.setdefault(place, {})[name] = channels
    blocks = {
        place: _changed(place, block, changes.get(place, {}))
        for place, block in arch.named_blocks()
    }
    return _with_blocks(arch, blocks)


def _changed(place: str, block: Block, values: Mapping[str, int]) -> Block:
    """Return `block` with other channels, but with the same layers and shortcut."""
    if not values:
        return block
    before = _alone(block)
    block = replace(block, **values)  # type: ignore[arg-type]  # the fields of channels
    after = _alone(block)
    if [layer.name for layer in before.layers] != [layer.name for layer in after.layers]:
        raise BadValue(
            f"{place}: with {block.hidden_channels} channels inside, as many as it reads, "
            "the block has no expansion",
            "width",
        )
    return replace(block, skip="none") if after.shortcut != before.shortcut else block


def _alone(block: Block) -> Unit:
    """Return the unit of `block` on a map of some size."""
    side = 1 if block.kind == "linear" else _SIDE
    return lower_block(block, (block.in_channels, side, side))


def _with_blocks(arch: Architecture, blocks: Mapping[str, Block]) -> Architecture:
    rest = iter(blocks.values())

    def section(old: Blocks) -> Blocks:
        return tuple(next(rest) for _ in old)

    stem = section(arch.stem)
    stages = tuple(section(stage) for stage in arch.stages)
    return replace(arch, stem=stem, stages=stages, head=section(arch.head))


def _trace(arch: Architecture) -> Mapping[str, Group]:
    """Return every group of `arch` by its name; squeeze-and-excitation on its own."""
    found = _Channels()
    image = now = found.new(arch.input_channels)
    for unit in lower(arch):
        start = inner = now
        for layer in unit.layers:
            inner, now = now, _through(found, unit, layer, now)
        found.note(start, unit.name, "in_channels")
        if unit.block.hidden_channels:
            found.note(inner, unit.name, "hidden_channels")
        found.note(now, unit.name, "out_channels")
        if unit.shortcut != "none":
            found.join(start, now)
    return {group.name: group for group in found.groups(without=(image, now))}


def _through(found: "_Channels", unit: Unit, layer: Layer, now: int) -> int:
    """Note what `layer` does to the channels `now`, and return those that it gives."""
    name = join(unit.name, layer.name)
    match layer:
        case Conv(in_shape=(inputs, _, _), out_shape=(outputs, _, _)):
            out = now if _is_depthwise(layer) else found.new(outputs)
            if layer.groups not in (1, inputs):
                found.fix(now, out)
            elif out != now:
                found.slot(now, f"{name}.weight", 1)
            for weight in ("weight", *_NORM):
                found.slot(out, f"{name}.{weight}", 0, makes=True)
            return out
        case Squeeze():
            inner = found.new(layer.channels)
            found.note(inner, unit.name, "se_channels")
            found.slot(now, f"{name}.reduce.weight", 1)
            found.slot(inner, f"{name}.reduce.weight", 0, makes=True)
            found.slot(inner, f"{name}.reduce.bias", 0, makes=True)
            found.slot(inner, f"{name}.expand.weight", 1)
            found.slot(now, f"{name}.expand.weight", 0)
            found.slot(now, f"{name}.expand.bias", 0)
            return now
        case Linear():
            out = found.new(layer.out_features)
            found.slot(now, f"{name}.weight", 1)
            found.slot(out, f"{name}.weight", 0, makes=True)
            found.slot(out, f"{name}.bias", 0, makes=True)
            return out
        case Pool():
            return now


def _is_depthwise(layer: Conv) -> bool:
    shape: Shape = layer.in_shape
    return layer.groups == shape[0] == layer.out_shape[0] > 1


@dataclass(slots=True)
class _Channels:
    """Sets of channels by number, with their widths, slots and fields; `join` unites two."""

    widths: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    slots: list[list[Slot]] = field(default_factory=list)
    fields: list[list[tuple[str, str]]] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)

    def new(self, width: int) -> int:
        self.same.append(len(self.same))
        self.widths.append(width)
        self.slots.append([])
        self.fields.append([])
        return len(self.same) - 1

    def find(self, number: int) -> int:
        while self.same[number] != number:
            number = self.same[number]
        return number

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        if first != second:
            self.same[second] = first
            self.slots[first] += self.slots[second]
            self.fields[first] += self.fields[second]

    def fix(self, *numbers: int) -> None:
        self.fixed.update(numbers)

    def slot(self, number: int, weight: str, axis: int, *, makes: bool = False) -> None:
        self.slots[self.find(number)].append(Slot(weight=weight, axis=axis, makes=makes))

    def note(self, number: int, place: str, name: str) -> None:
        self.fields[self.find(number)].append((place, name))

    def groups(self, *, without: tuple[int, ...]) -> Iterator[Group]:
        fixed = {self.find(number) for number in (*self.fixed, *without)}
        for number, width in enumerate(self.widths):
            if self.find(number) == number and number not in fixed and width > 1:
                yield self._group(number)

    def _group(self, number: int) -> Group:
        fields = tuple(self.fields[number])
        place, kind = _kind(fields)
        return Group(
            name=f"{place}.{'out' if kind not in ('hidden', 'squeeze') else kind}",
            kind=kind,
            width=self.widths[number],
            slots=tuple(self.slots[number]),
            fields=fields,
        )


def _kind(fields: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Return the place where channels first are made, and what kind of group they are."""
    outs = [place for place, name in fields if name == "out_channels"]
    if not outs:
        place, name = fields[0]
        return place, "squeeze" if name == "se_channels" else "hidden"
    section = outs[0].partition(".")[0]
    return outs[0], {"stages": "bottleneck"}.get(section, section)
