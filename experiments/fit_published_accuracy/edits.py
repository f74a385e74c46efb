"""Predict single changes to MobileNetV3-Large and EfficientNet-B0."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from experiments.fit_published_accuracy.process import percent
from experiments.fit_published_accuracy.student import Teacher
from nas.accuracy.features import features
from nas.network.blocks import Architecture, Block, Blocks
from nas.network.zoo import load_architecture

Change = Callable[[Block], Block]

_V2 = "MobileNetV2 1.0 in TF-slim, against 224 px"
_SIDES = {"128 px": (-6.5, _V2), "160 px": (-3.0, _V2), "192 px": (-1.1, _V2)}
_KERNELS = {"kernel 5 everywhere": (0.7, "Tan et al., 2019 (MnasNet), MBConv of one kernel only")}
SEEN = {
    "mobilenet_v3_large": {
        **_SIDES,
        **_KERNELS,
        "stem of 32": (0.0, "Howard et al., 2019, section 5.1: 16 with h-swish are as good as 32"),
        "relu everywhere": (-0.7, "Howard et al., 2019, table 5"),
        "head pools late, or no more": (0.0, "Howard et al., 2019, section 5.1"),
    },
    "efficientnet_b0": {**_SIDES, **_KERNELS},
}
"""Points that papers report for the same or a similar change, where known."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change, with its predicted and published effect in points."""

    name: str
    points: float
    seen: tuple[float, str] | None


def edits(name: str, teacher: Teacher) -> list[Edit]:
    """Return the single changes to the network `name` of the zoo, by the reference recipe."""
    base = load_architecture(name)
    changes = {"as it is": base, **variants(base)}
    top1 = percent(teacher(features(list(changes.values()))).mean)
    seen: Mapping[str, Any] = SEEN[name]
    pairs = zip(changes, top1, strict=True)
    return [Edit(n, float(v - top1[0]), seen.get(n)) for n, v in pairs if n != "as it is"]


def variants(base: Architecture) -> Mapping[str, Architecture]:
    """Return networks that each differ from `base` in one respect."""
    found = {f"{side} px": replace(base, resolution=side) for side in (128, 160, 192, 256, 288)}
    width = base.stem[0].out_channels
    for other in {16, 24, 32} - {width}:
        found[f"stem of {other}"] = _with_stem(base, other)
    for kernel in (3, 5, 7):
        found[f"kernel {kernel} everywhere"] = _each(base, partial(replace, kernel=kernel))
        for s in (2, 4):
            found[f"kernel {kernel} in stage {s + 1}"] = _each(
                base, partial(replace, kernel=kernel), only=s
            )
    found["no SE"] = _each(base, partial(replace, se_channels=0))
    found["SE everywhere"] = _each(base, _with_se)
    for act in ("relu", "hswish", "swish"):
        found[f"{act} everywhere"] = _each(base, partial(replace, act=act))
    found["head pools late, or no more"] = _other_head(base)
    for s in range(len(base.stages)):
        found[f"one layer more in stage {s + 1}"] = _deeper(base, s)
    return {n: arch for n, arch in found.items() if arch != base}


def _each(base: Architecture, change: Change, *, only: int | None = None) -> Architecture:
    """Change every block after the first convolution, or those of the stage `only`."""
    stages = [
        tuple(map(change, stage)) if only in (None, s) else stage
        for s, stage in enumerate(base.stages)
    ]
    rest = base.stem[1:] if only is not None else tuple(map(change, base.stem[1:]))
    return replace(base, stem=(base.stem[0], *rest), stages=tuple(stages))


def _with_se(block: Block) -> Block:
    return replace(block, se_channels=block.se_channels or max(8, block.hidden_channels // 4))


def _with_stem(base: Architecture, width: int) -> Architecture:
    first = replace(base.stem[0], out_channels=width)
    rest = (*base.stem[1:], *base.stages[0])
    ratio = rest[0].hidden_channels // rest[0].in_channels
    changed = replace(rest[0], in_channels=width, hidden_channels=width * ratio)
    if len(base.stem) > 1:
        return replace(base, stem=(first, changed, *base.stem[2:]))
    return replace(base, stem=(first,), stages=((changed, *base.stages[0][1:]), *base.stages[1:]))


def _other_head(base: Architecture) -> Architecture:
    """Return the network with a late-pooled head where it has none, and the other way round."""
    channels = base.stages[-1][-1].out_channels
    act, classes = base.head[0].act, base.head[-1].out_channels
    late = sum(block.kind == "linear" for block in base.head) > 1
    wide = 1280 if late else 6 * channels
    conv = Block(kind="conv", in_channels=channels, out_channels=wide, act=act)
    pool = Block(kind="pool", in_channels=wide, out_channels=wide)
    last = Block(kind="linear", in_channels=1280, out_channels=classes, act="none")
    between: Blocks = ()
    if not late:
        between = (Block(kind="linear", in_channels=wide, out_channels=1280, act=act),)
    return replace(base, head=(conv, pool, *between, last))


def _deeper(base: Architecture, stage: int) -> Architecture:
    last = base.stages[stage][-1]
    ratio = last.hidden_channels / last.in_channels
    more = replace(
        last,
        in_channels=last.out_channels,
        hidden_channels=round(last.out_channels * ratio),
        stride=1,
    )
    stages = list(base.stages)
    stages[stage] = (*stages[stage], more)
    return replace(base, stages=tuple(stages))
