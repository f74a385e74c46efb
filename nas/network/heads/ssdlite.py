"""SSDLite: depthwise-separable boxes on six maps (MobileNetV2, MobileNetV3)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nas.network.blocks import Architecture, Block
from nas.network.builder import ArchitectureBuilder
from nas.network.detectors import Taps
from nas.network.heads._backbone import tapped, taps_of_tapped, with_head_of
from nas.network.heads._ssd import SMALLEST, anchors, extra_maps, predictions
from nas.network.multipliers import DIVISOR, round_channels, squeeze_by, squeeze_rule

RELU6 = "relu6"


def create(
    backbone: Architecture,
    *,
    classes: int = 90,
    reduced_tail: bool = False,
    fewer_anchors: bool = False,
    smallest: float = SMALLEST,
) -> Architecture:
    """Return SSDLite on `backbone` (Sandler et al., 2018, section 6.2; Howard et al., 2019, 6.3).

    It reads the expansion of the first block with stride 32, and the last convolution. With
    `reduced_tail` the channels from there on are halved, as in MobileNetV3; with `fewer_anchors`
    the first map has three anchors per pixel instead of six. `smallest` is the scale of the anchors
    there, as a fraction of the side; choose less for small objects. `classes` do not include the
    background.
    """
    base = _with_reduced_tail(backbone) if reduced_tail else backbone
    found = tapped(base, act=RELU6)
    builder = found.builder
    maps = extra_maps(builder, (found.maps[16], found.maps[32]), backbone.resolution, _shrink)
    boxes = anchors(len(maps), fewer=fewer_anchors, smallest=smallest)
    detector = predictions(builder, maps, _predict, classes=classes, boxes_of=boxes)
    made_by = f"ssdlite:fewer_anchors={str(fewer_anchors).lower()},smallest={smallest:g}"
    return with_head_of(builder, backbone, detector, made_by)


def taps(backbone: Architecture, *, reduced_tail: bool = False, **_: Any) -> Taps:
    """Return the parts of `backbone` on which the head depends."""
    found = taps_of_tapped(backbone)
    return replace(found, halved=_halved_by) if reduced_tail else found


def _shrink(builder: ArchitectureBuilder, source: str, channels: int) -> str:
    return builder.add("separable", source, channels, kernel=3, stride=2)


def _predict(builder: ArchitectureBuilder, source: str, numbers: int) -> str:
    filtered = builder.add("depthwise", source, kernel=3)
    return builder.add("predict", filtered, numbers, act="none")


def _with_reduced_tail(backbone: Architecture) -> Architecture:
    """Return `backbone` with half the channels after the first block of its last stage.

    The expansion and the squeeze-and-excitation of that block stay.
    """
    number = max(i for i, blocks in enumerate(backbone.stages) if blocks)  # some may be empty
    last = backbone.stages[number]
    squeezed = squeeze_rule(backbone)
    rows = [_halved(block, squeezed, first=not i) for i, block in enumerate(last)]
    stages = (*backbone.stages[:number], tuple(rows), *backbone.stages[number + 1 :])
    return replace(backbone, stages=stages, head=_half_head(backbone, rows[-1]))


def _halved(block: Block, squeezed: Callable[[Block, int, float], int], *, first: bool) -> Block:
    channels = block.in_channels if first else _half(block.in_channels)
    hidden = block.hidden_channels
    if not first:
        hidden = _half(hidden) if block.expands else channels
    return replace(
        block,
        in_channels=channels,
        out_channels=_half(block.out_channels),
        hidden_channels=hidden,
        se_channels=squeezed(block, hidden, 0.5) if block.squeezes else 0,
    )


def _halved_by(block: Block, part: str, divisor: int) -> Block:
    if part == "head":
        channels = _half(block.in_channels), _half(block.out_channels)
        return replace(block, in_channels=channels[0], out_channels=channels[1])
    return _halved(block, squeeze_by(divisor), first=part == "first")


def _half_head(backbone: Architecture, last: Block) -> tuple[Block, ...]:
    """Return the head with half the channels, up to its pooling."""
    channels, rows = last.out_channels, []
    for number, block in enumerate(backbone.head):
        out = block.out_channels
        if block.kind == "pool":
            out = channels
        elif number < len(backbone.head) - 1:
            out = _half(out)
        rows.append(replace(block, in_channels=channels, out_channels=out))
        channels = out
    return tuple(rows)


def _half(channels: int) -> int:
    return round_channels(channels / 2, divisor=DIVISOR)
