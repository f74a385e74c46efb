"""Scale architectures: width, depth and resolution.

Width multipliers come from MobileNetV1 (Howard et al., 2017), depth multipliers and the rounding
of both from EfficientNet (Tan & Le, 2019).
"""

from dataclasses import replace
from itertools import chain
from math import ceil

from nas.arch import Architecture, Block, Blocks

DIVISOR = 8
_EPSILON = 1e-9


def round_channels(channels: float, *, divisor: int = DIVISOR) -> int:
    """Return the multiple of `divisor` nearest to `channels`, never below 0.9 of it.

    The rule of MobileNetV2 and EfficientNet; the result is at least `divisor`.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def scale_resolution(arch: Architecture, resolution: int) -> Architecture:
    """Return `arch` with an input of `resolution` x `resolution` pixels."""
    return replace(arch, resolution=resolution)


def scale_width(arch: Architecture, factor: float) -> Architecture:
    """Return `arch` with every channel count times `factor`, in multiples of 8.

    Expansion ratios stay; squeeze-and-excitation grows with the hidden channels. As in the
    originals, the head's last features (1280, say) do not shrink below a factor of 1 where they
    stand behind another head layer or, as in V2, behind the stages; the
    classes and the input channels never change.
    """
    se_divisor = _se_divisor(arch)
    channels = arch.input_channels
    sections: list[Blocks] = []
    for section in (arch.stem, *arch.stages):
        rows = []
        for block in section:
            rows.append(_widen(block, factor, in_channels=channels, se_divisor=se_divisor))
            channels = rows[-1].out_channels
        sections.append(tuple(rows))
    return replace(
        arch,
        stem=sections[0],
        stages=tuple(sections[1:]),
        head=_scale_head(arch.head, factor, channels),
    )


def scale_depth(arch: Architecture, factor: float) -> Architecture:
    """Return `arch` with the blocks of every stage times `factor`, rounded up.

    The last block of a stage is repeated, or the last ones are left out.
    """
    return replace(arch, stages=tuple(_repeat(stage, factor) for stage in arch.stages))


def _repeat(stage: Blocks, factor: float) -> Blocks:
    wanted = ceil(len(stage) * factor - _EPSILON)
    if not stage:
        return stage
    last = stage[-1]
    more = replace(last, in_channels=last.out_channels, stride=1)
    if len(stage) == 1 and wanted > 1:
        more = _rescale_block(more, last)
    return (stage + (more,) * (wanted - len(stage)))[:wanted]


def _rescale_block(block: Block, first: Block) -> Block:
    """Give a repeated block the ratios that the first of its stage has to its input."""
    ratio = block.in_channels / first.in_channels
    return replace(
        block,
        hidden_channels=round(first.hidden_channels * ratio),
        se_channels=int(first.se_channels * ratio),
    )


def _widen(block: Block, factor: float, *, in_channels: int, se_divisor: int) -> Block:
    hidden = _scaled_hidden(block, in_channels)
    growth = hidden / block.hidden_channels if block.hidden_channels else factor
    return replace(
        block,
        in_channels=in_channels,
        out_channels=round_channels(block.out_channels * factor),
        hidden_channels=hidden,
        se_channels=_scaled_se(block.se_channels * growth, se_divisor),
    )


def _scaled_hidden(block: Block, in_channels: int) -> int:
    """Keep the expansion ratio; a block without expansion stays one."""
    if block.hidden_channels in (0, block.in_channels):
        return in_channels if block.hidden_channels else 0
    return round_channels(block.hidden_channels / block.in_channels * in_channels)


def _se_divisor(arch: Architecture) -> int:
    """Return 8 where every SE width is a multiple of 8 (MobileNetV3), otherwise 1."""
    widths = [b.se_channels for b in chain(arch.stem, *arch.stages) if b.se_channels]
    return DIVISOR if all(width % DIVISOR == 0 for width in widths) else 1


def _scaled_se(channels: float, divisor: int) -> int:
    if not channels:
        return 0
    return (
        round_channels(channels, divisor=divisor)
        if divisor > 1
        else max(1, int(channels + _EPSILON))
    )


def _scale_head(head: Blocks, factor: float, channels: int) -> Blocks:
    """Scale the head: its last features grow but never shrink, the classes stay."""
    features = max((i for i, b in enumerate(head[:-1]) if b.kind != "pool"), default=-1)
    rows = []
    for i, block in enumerate(head):
        out = channels if block.kind == "pool" else block.out_channels
        if block.kind != "pool" and i < len(head) - 1:
            out = round_channels(
                block.out_channels * (max(1.0, factor) if i == features else factor)
            )
        rows.append(replace(block, in_channels=channels, out_channels=out))
        channels = out
    return tuple(rows)
