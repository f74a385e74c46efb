"""Cut groups of channels of an architecture, which `tracing` finds."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block, Blocks
from nas.network.layers import Unit
from nas.network.lowering import lower_block
from nas.network.multipliers import se_divisor_of
from nas.pruning.tracing import Follower, Group, trace

_SIDE = 8


def groups(
    arch: Architecture, *, origin: Architecture | None = None, own_squeeze: bool = False
) -> tuple[Group, ...]:
    """Return the groups of `arch` that can be cut, in the order of the forward pass.

    The channels of images, the classes (the output of the last block), and single channels are not
    included. The widths of squeeze-and-excitation follow the channels that they squeeze, at their
    ratio in `origin` (by default in `arch`, whose ratio drifts by rounding over many small cuts);
    with `own_squeeze` they are separate groups.
    """
    found = trace(arch)
    if own_squeeze:
        return tuple(found.values())
    first = trace(origin) if origin else found
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
    """Return `arch` with `width` channels in one of its groups, and otherwise the same layers.

    If a block without a shortcut would get one, because its input and output become equally wide,
    its `skip` is set to "none".

    Raises:
        BadValue: if the width is not between 1 and the group's, or a block would lose its
            expansion by having as many hidden as input channels.
    """
    if not 1 <= width <= group.width:
        raise BadValue(f"{group.name} can have 1 to {group.width} channels, not {width}", "width")
    fewer: dict[str, Counter[str]] = defaultdict(Counter)
    parts = [(group, width), *((f.group, f.width(width)) for f in group.followers)]
    for part, channels in parts:
        for place, name in part.fields:
            fewer[place][name] += part.width - channels
    blocks = {
        place: _changed(
            place, block, {n: getattr(block, n) - cut for n, cut in fewer[place].items()}
        )
        for place, block in arch.named_blocks()
    }
    return _with_blocks(arch, blocks)


def _changed(place: str, block: Block, values: Mapping[str, int]) -> Block:
    """Return `block` with other numbers of channels, but the same layers and shortcut."""
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
    """Return the unit of `block` on a map of arbitrary size."""
    side = 1 if block.kind == "linear" else _SIDE
    return lower_block(block, (block.in_channels, side, side))


def _with_blocks(arch: Architecture, blocks: Mapping[str, Block]) -> Architecture:
    rest = iter(blocks.values())

    def section(old: Blocks) -> Blocks:
        return tuple(next(rest) for _ in old)

    stem = section(arch.stem)
    stages = tuple(section(stage) for stage in arch.stages)
    return replace(arch, stem=stem, stages=stages, head=section(arch.head))
