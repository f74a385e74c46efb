"""What the constructors of torchvision are told: rows of numbers, and what must be as they have it.

A constructor decides some things itself: the form of the stem, shortcuts, the width of
squeeze-and-excitation, in some families the channels before the pooling. An architecture that
differs there is refused, with the name of the block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from nas.core.errors import BadValue
from nas.exporting.ratios import shortest
from nas.network.blocks import Architecture, Block
from nas.network.layers import Unit
from nas.network.multipliers import round_channels, scale_width
from nas.network.naming.tensors import no_place, parts
from nas.network.zoo import load_architecture

_V2_STEM, _V2_LAST, _V3_LAST = 32, 1280, 6
"""MobileNetV2's channels of stem and head at width 1; how many times wider V3's head is."""
_WIDTHS = (1.0, 0.75, 0.5, 0.35, 1.3, 1.4, *(hundredths / 100 for hundredths in range(5, 301)))
_BASE = "mnasnet_b1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderArguments:
    """The rows and keyword arguments of a constructor.

    `arch` has a stage for each of its rows where the names of the weights follow them.
    """

    arch: Architecture
    rows: Sequence[Sequence[Any]] = ()
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What a family has in every network: its blocks' activations, and that of stem and head.

    `squeeze` gives the only width of squeeze-and-excitation for a block, 0 for none, with `se`, its
    activation and gate; `may_squeeze` allows blocks without. With `eights` all channels are
    multiples of 8.
    """

    name: str
    acts: tuple[str, ...]
    act: str
    kernels: tuple[int, ...] = ()
    squeeze: Callable[[Block], int] = lambda block: 0
    may_squeeze: bool = False
    se: tuple[str, str] = ("relu", "sigmoid")
    eights: bool = True

    def refuse(self, unit: Unit, why: str) -> None:
        """Say why the family has no such unit."""
        no_place(unit, f"torchvision's {self.name}", why)

    def check(self, arch: Architecture) -> tuple[Unit, tuple[Unit, ...], tuple[Unit, ...]]:
        """Return stem, blocks and head of `arch`, which must have this form."""
        stem, stages, head = parts(arch)
        blocks = tuple(chain(*stages))
        if not blocks:
            self.refuse(stem, "has blocks behind the first convolution")
        self._check_around(stem, head)
        for unit in blocks:
            self._check_shape(unit)
            self._check_squeeze(unit)
        return stem, blocks, head

    def _check_around(self, stem: Unit, head: Sequence[Unit]) -> None:
        block = stem.block
        if (block.in_channels, block.kernel, block.stride) != (3, 3, 2):
            self.refuse(stem, "begins with a 3x3 convolution of stride 2 on 3 channels")
        for unit in (stem, *head[:-1]):
            if unit.block.kind != "pool" and unit.block.act != self.act:
                self.refuse(unit, f"has {self.act} here, not {unit.block.act}")
            if unit is not stem and unit.block.kernel * unit.block.stride != 1:
                self.refuse(unit, "has a 1x1 convolution in its head")
        if head[-1].block.act != "none":
            self.refuse(head[-1], "has no activation behind its classifier")

    def _check_shape(self, unit: Unit) -> None:
        block = unit.block
        joins = "identity" if block.stride == 1 and block.keeps_channels else "none"
        if unit.shortcut != joins:
            self.refuse(unit, f"has {joins} as the shortcut here, not {unit.shortcut}")
        if block.act not in self.acts:
            self.refuse(unit, f"has {' and '.join(self.acts)} in its blocks, not {block.act}")
        if block.stride > 2 or (self.kernels and block.kernel not in self.kernels):
            self.refuse(unit, f"has no kernel of {block.kernel} at stride {block.stride}")
        for channels in (block.in_channels, block.hidden_channels, block.out_channels):
            if self.eights and channels != round_channels(channels):
                self.refuse(unit, f"has channels in multiples of 8, not {channels}")

    def _check_squeeze(self, unit: Unit) -> None:
        block, wanted = unit.block, self.squeeze(unit.block)
        if self.may_squeeze and not block.squeezes:
            return
        if block.se_channels != wanted:
            self.refuse(unit, f"squeezes to {wanted} channels, not {block.se_channels}")
        if block.squeezes and (block.se_act, block.gate) != self.se:
            self.refuse(unit, f"squeezes with {' and '.join(self.se)}")


_V2 = _Form(name="mobilenet_v2", acts=("relu6",), act="relu6", kernels=(3,), eights=False)
_V3 = _Form(
    name="mobilenet_v3",
    acts=("relu", "hswish"),
    act="hswish",
    squeeze=lambda block: round_channels(block.hidden_channels // 4),
    may_squeeze=True,
    se=("relu", "hsigmoid"),
)
_EFFICIENTNET = _Form(
    name="efficientnet",
    acts=("swish",),
    act="swish",
    squeeze=lambda block: max(1, block.in_channels // 4),
    se=("swish", "sigmoid"),
)
_MNASNET = _Form(name="mnasnet", acts=("relu",), act="relu")


def mobilenet_v2(arch: Architecture) -> BuilderArguments:
    """Return rows of expansion, channels, repeats and stride, and the width that they are for."""
    stem, blocks, head = _V2.check(arch)
    nearest = 8 if all(unit.block.out_channels % 8 == 0 for unit in (stem, *blocks)) else 1
    channels, last = stem.block.out_channels, head[0].block.out_channels
    for width in (1.0, last / _V2_LAST, channels / _V2_STEM, *_WIDTHS):
        if (
            round_channels(_V2_STEM * width, divisor=nearest) == channels
            and round_channels(_V2_LAST * max(1.0, width), divisor=nearest) == last
        ):
            break
    else:
        _V2.refuse(head[0], f"has no {last} channels here behind a stem of {channels}")
    rows: list[list[Any]] = []
    for unit in blocks:
        row = [_expansion(unit, rounded=False), _before(unit, width, nearest), 1, unit.block.stride]
        if rows and row[3] == 1 and rows[-1][:2] == row[:2]:
            rows[-1][2] += 1
        else:
            rows.append(row)
    return BuilderArguments(
        arch=arch, rows=rows, arguments={"width_mult": width, "round_nearest": nearest}
    )


def _before(unit: Unit, width: float, nearest: int) -> int | float:
    """Return the channels that become those of `unit` at a width, whole ones where some do."""
    wanted = unit.block.out_channels
    whole = round(wanted / width)
    return whole if round_channels(whole * width, divisor=nearest) == wanted else wanted / width


def _expansion(unit: Unit, *, rounded: bool) -> int | float:
    """Return the ratio that gives the hidden channels, which may be `rounded` to multiples of 8."""
    block = unit.block
    to = round_channels if rounded else round
    text = shortest(
        block.hidden_channels / block.in_channels,
        lambda ratio: (
            to(block.in_channels * ratio) == block.hidden_channels
            and (rounded or (ratio != 1) == block.expands)
        ),
    )
    return float(text) if "." in text else int(text)


def mobilenet_v3(arch: Architecture) -> BuilderArguments:
    """Return rows of in, kernel, expanded, out, SE, activation, stride, dilation and width."""
    _, blocks, (conv, _, hidden, _) = _V3.check(arch)
    if conv.block.out_channels != _V3_LAST * conv.block.in_channels:
        why = f"has {_V3_LAST} times the {conv.block.in_channels} channels before it here"
        _V3.refuse(conv, f"{why}, not {conv.block.out_channels}")
    rows = [
        (
            block.in_channels,
            block.kernel,
            block.hidden_channels,
            block.out_channels,
            block.squeezes,
            "HS" if block.act == "hswish" else "RE",
            block.stride,
            1,
            1.0,
        )
        for block in (unit.block for unit in blocks)
    ]
    return BuilderArguments(
        arch=arch, rows=rows, arguments={"last_channel": hidden.block.out_channels}
    )


def efficientnet(arch: Architecture) -> BuilderArguments:
    """Return rows of expansion, kernel, stride, in, out and repeats; a row is a stage there."""
    _, blocks, head = _EFFICIENTNET.check(arch)
    rows: list[list[Any]] = []
    stages: list[list[Block]] = []
    for unit in blocks:
        block = unit.block
        start = [_expansion(unit, rounded=True), block.kernel]
        row = [*start, block.stride, block.in_channels, block.out_channels, 1]
        if rows and rows[-1][:2] == start and block.stride == 1 and block.keeps_channels:
            rows[-1][5] += 1
            stages[-1].append(block)
        else:
            rows.append(row)
            stages.append([block])
    arguments = {
        "stochastic_depth_prob": arch.drop_connect,
        "last_channel": head[0].block.out_channels,
    }
    split = replace(arch, stem=arch.stem[:1], stages=tuple(map(tuple, stages)))
    return BuilderArguments(arch=split, rows=rows, arguments=arguments)


def mnasnet(arch: Architecture) -> BuilderArguments:
    """Return the width at which MnasNet-B1 is `arch`; its constructor takes nothing else."""
    stem, _, _ = _MNASNET.check(arch)
    base = load_architecture(_BASE)
    networks = {w: scale_width(base, w) for w in _WIDTHS}
    alike = {w: a for w, a in networks.items() if a.stem[0].out_channels == stem.block.out_channels}
    for width, scaled in alike.items():
        if _first_other(arch, scaled) is None:
            return BuilderArguments(arch=arch, arguments={"alpha": width})
    place = _first_other(arch, next(iter(alike.values()), base)) or stem.name
    raise BadValue(f"{place}: torchvision's mnasnet is MnasNet-B1 at some width, and has another")


def _first_other(arch: Architecture, wanted: Architecture) -> str | None:
    """Return the place of the first block, but for the classifier, that is another in `wanted`."""
    theirs = dict(wanted.named_blocks()[:-1])
    found = dict(arch.named_blocks()[:-1])
    others = [place for place in (found | theirs) if found.get(place) != theirs.get(place)]
    return others[0] if others else None


ROWS: Mapping[str, Callable[[Architecture], BuilderArguments]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet": efficientnet,
    "mnasnet": mnasnet,
}
"""From a family to what its constructor is told; a BadValue names the block that it has not."""
