"""Scale architectures in width, depth and resolution.

The multipliers of width and resolution are those of MobileNetV1 (Howard et al., 2017); the
multiplier of depth and the rounding are those of EfficientNet (Tan & Le, 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import chain
from math import ceil, isfinite

from nas.core.errors import BadValue
from nas.network.backbone import backbone_of
from nas.network.blocks import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, Architecture, Block, Blocks
from nas.network.detectors import with_head

DIVISOR = 8
MIN_RESOLUTION = 8
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """The multipliers of channels, of the blocks in every stage, and of the side of the input.

    Raises:
        BadValue: if one is not a finite number above 0.
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isfinite(value) and value > 0):
                raise BadValue(
                    f"the multiplier of {field.name} must be a finite number above 0, "
                    f"not {value:g}; 1 leaves it as it is",
                    field.name,
                )

    @property
    def growth(self) -> float:
        """The growth of the MACs before rounding: depth * width^2 * resolution^2."""
        return self.depth * self.width * self.width * self.resolution * self.resolution


def scale(arch: Architecture, by: Multipliers, *, multiple: int = DIVISOR) -> Architecture:
    """Return `arch` scaled: channels in multiples of `multiple`, repeats rounded up.

    Raises:
        BadValue: if no channel or fewer than 8 pixels would be left, or more than an architecture
            can have.
    """
    if arch.detector is not None:
        return _scale_detector(arch, by, multiple)
    _check_width(arch, by.width, multiple)
    _check_size(arch, by)
    pixels = round(arch.resolution * by.resolution)
    if pixels < MIN_RESOLUTION:
        raise BadValue(
            f"a resolution of {arch.resolution} times {by.resolution:g} leaves {pixels} pixels; "
            f"at least {MIN_RESOLUTION} are needed",
            "resolution",
        )
    deeper = scale_depth(arch, by.depth)
    return scale_resolution(scale_width(deeper, by.width, multiple=multiple), pixels)


def _scale_detector(arch: Architecture, by: Multipliers, multiple: int) -> Architecture:
    """Return a detector with its backbone scaled, and its head rebuilt.

    Raises:
        BadValue: if the head is unknown and more than the resolution is scaled.
    """
    if (by.width, by.depth) == (1.0, 1.0):
        return scale_resolution(arch, round(arch.resolution * by.resolution))
    if not arch.detector_head:
        name = arch.name or "the network"
        raise BadValue(
            f"{name} is scaled in resolution only; scale a head on a backbone, as in "
            "yolo:mobilenet_v2, or choose a bundled detector of another size",
            "width",
        )
    return with_head(scale(backbone_of(arch), by, multiple=multiple), arch)


def _check_width(arch: Architecture, factor: float, multiple: int) -> None:
    """Reject a width that leaves some block without channels."""
    if multiple < 1:
        raise BadValue(f"channels must be multiples of 1 or more, not {multiple}", "multiple")
    body = [row for row in arch.named_blocks() if not row[0].startswith("head")]
    place, block = min(body, key=lambda row: row[1].out_channels, default=("", None))
    if block is not None and block.out_channels * factor < 1:
        raise BadValue(
            f"a width of {factor:g} leaves none of the {block.out_channels} channels of {place}; "
            f"take {ceil(1e4 / block.out_channels) / 1e4:g} or more",
            "width",
        )


def _check_size(arch: Architecture, by: Multipliers) -> None:
    """Reject a size that no architecture can have, before anything is computed."""
    widest = max(block.out_channels for _, block in arch.named_blocks())
    for name, before, factor, most in (
        ("channels", widest, by.width, MAX_CHANNELS),
        ("blocks", len(arch.named_blocks()), by.depth, MAX_BLOCKS),
        ("pixels", arch.resolution, by.resolution, MAX_PIXELS),
    ):
        if before * factor > most:
            raise BadValue(f"{before:,} {name} times {factor:g} are more than {most:,}")


def round_channels(channels: float, *, divisor: int = DIVISOR) -> int:
    """Return the multiple of `divisor` nearest to `channels`, but at least 0.9 of `channels`.

    This is the rule of MobileNetV2 and EfficientNet; the result is at least `divisor`.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def scale_resolution(arch: Architecture, resolution: int) -> Architecture:
    """Return `arch` with an input of `resolution` x `resolution` pixels.

    The head of a detector is rebuilt for that resolution, unless the detector was pruned.
    """
    if arch.detector is not None and arch.detector_head and resolution != arch.resolution:
        backbone = backbone_of(arch)
        if with_head(backbone, arch) == arch:
            return with_head(replace(backbone, resolution=resolution), arch)
    return replace(arch, resolution=resolution)


def scale_width(arch: Architecture, factor: float, *, multiple: int = DIVISOR) -> Architecture:
    """Return `arch` with all channels multiplied by `factor`, in multiples of `multiple`.

    Expansion ratios stay. The width of squeeze-and-excitation grows with the hidden channels; if it
    is a quarter of them in multiples of 8 in every block, as in MobileNetV3, it stays so. As in the
    originals, the head's last features (1280, say) never shrink: they grow in MobileNetV2,
    ProxylessNAS and EfficientNet, and stay in MnasNet, Single-Path NAS and MobileNetV3
    (`fixed_features`). The classes and the input channels never change.
    """
    squeezed = squeeze_rule(arch)
    channels = arch.input_channels
    sections: list[Blocks] = []
    for section in (arch.stem, *arch.stages):
        rows = []
        for block in section:
            wider = round_channels(block.out_channels * factor, divisor=multiple)
            hidden = _scaled_hidden(block, channels, multiple)
            rows.append(
                replace(
                    block,
                    in_channels=channels,
                    out_channels=wider,
                    hidden_channels=hidden,
                    se_channels=squeezed(block, hidden, factor) if block.squeezes else 0,
                )
            )
            channels = rows[-1].out_channels
        sections.append(tuple(rows))
    return replace(
        arch,
        stem=sections[0],
        stages=tuple(sections[1:]),
        head=_scale_head(arch, factor, channels, multiple),
    )


def squeeze_rule(arch: Architecture) -> Callable[[Block, int, float], int]:
    """Return a function for the squeeze-and-excitation width of a block.

    Its arguments are the block, its new hidden channels, and the width multiplier, which is used
    for blocks without hidden channels.
    """
    squeezing = [block for _, block in arch.named_blocks() if block.squeezes]
    quarters = all(is_quarter(block.se_channels, block.hidden_channels) for block in squeezing)
    return squeeze_by(0 if quarters else se_divisor_of(arch))


def is_quarter(se_channels: int, hidden_channels: int) -> bool:
    """Return whether a squeeze-and-excitation width is that of MobileNetV3."""
    return bool(hidden_channels) and se_channels == _quarter(hidden_channels)


def squeeze_by(divisor: int) -> Callable[[Block, int, float], int]:
    """Return a `squeeze_rule` for multiples of `divisor`, or for quarters if it is 0."""
    if not divisor:
        return lambda block, hidden, factor: _quarter(hidden)

    def grown(block: Block, hidden: int, factor: float) -> int:
        growth = hidden / block.hidden_channels if block.hidden_channels else factor
        return scaled_se(block.se_channels * growth, divisor)

    return grown


def _quarter(hidden: int) -> int:
    return round_channels(hidden / 4)


def scale_depth(arch: Architecture, factor: float) -> Architecture:
    """Return `arch` with the number of blocks in every stage times `factor`, rounded up.

    The last block of a stage is repeated, or the last blocks are removed.
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
    """Return a repeated block, with the ratios to its input of the first block of its stage."""
    ratio = block.in_channels / first.in_channels
    return replace(
        block,
        hidden_channels=round(first.hidden_channels * ratio),
        se_channels=int(first.se_channels * ratio),
    )


def _scaled_hidden(block: Block, in_channels: int, multiple: int) -> int:
    """Return hidden channels of the same expansion ratio; a block without expansion stays so."""
    if block.hidden_channels in (0, block.in_channels):
        return in_channels if block.hidden_channels else 0
    expanded = block.hidden_channels / block.in_channels * in_channels
    return round_channels(expanded, divisor=multiple)


def se_divisor_of(arch: Architecture) -> int:
    """Return 8 if every squeeze-and-excitation width is a multiple of 8 (MobileNetV3), else 1."""
    widths = [b.se_channels for b in chain(arch.stem, *arch.stages) if b.se_channels]
    return DIVISOR if all(width % DIVISOR == 0 for width in widths) else 1


def scaled_se(channels: float, divisor: int) -> int:
    """Return a squeeze-and-excitation width in multiples of `divisor`; for 1, rounded down."""
    if not channels:
        return 0
    return (
        round_channels(channels, divisor=divisor)
        if divisor > 1
        else max(1, int(channels + _EPSILON))
    )


def _scale_head(arch: Architecture, factor: float, channels: int, multiple: int) -> Blocks:
    """Return the scaled head: its last features never shrink, and the classes stay."""
    head = arch.head
    features = max((i for i, b in enumerate(head[:-1]) if b.kind != "pool"), default=-1)
    rows = []
    for i, block in enumerate(head):
        out = channels if block.kind == "pool" else block.out_channels
        fixed = i == len(head) - 1 or (i == features and arch.fixed_features)
        if block.kind != "pool" and not fixed:
            by = max(1.0, factor) if i == features else factor
            out = round_channels(block.out_channels * by, divisor=multiple)
        rows.append(replace(block, in_channels=channels, out_channels=out))
        channels = out
    return tuple(rows)
