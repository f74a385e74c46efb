"""What a head takes from a network: its blocks without the classifier, and the maps to read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block
from nas.network.builder import ArchitectureBuilder
from nas.network.detector import Detector
from nas.network.detectors import Taps, rest_of, splits
from nas.network.layers import Unit
from nas.network.lowering import lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """The blocks so far, and the places of maps by their stride relative to the image."""

    builder: ArchitectureBuilder
    maps: dict[int, str]


def strides(units: tuple[Unit, ...]) -> Iterator[int]:
    """Yield the stride of every unit's output relative to the image."""
    total = 1
    for unit in units:
        total *= unit.block.stride if unit.block.kind != "pool" else 1
        yield total


def body_of(backbone: Architecture) -> tuple[tuple[str, Block], ...]:
    """Return the blocks before the head's pooling, or all if it does not pool, with their places.

    Raises:
        BadValue: if `backbone` is a detector.
    """
    if backbone.detector is not None:
        raise BadValue(f"{backbone.name or 'the network'} is a detector already", "detector")
    blocks = backbone.named_blocks()
    kinds = [block.kind for _, block in blocks]
    return blocks[: kinds.index("pool")] if "pool" in kinds else blocks


def features(backbone: Architecture, *, act: str) -> Backbone:
    """Return the blocks of the stem and the stages, and the last map of each stride.

    Raises:
        BadValue: if maps of stride 8, 16 or 32 are missing.
    """
    body = tuple(row for row in body_of(backbone) if not row[0].startswith("head"))
    found = dict(zip((place for place, _ in body), strides(lower(backbone)), strict=False))
    maps = {stride: place for place, stride in found.items()}
    if missing := [str(stride) for stride in (8, 16, 32) if stride not in maps]:
        raise BadValue(
            f"the head needs maps of stride 8, 16 and 32, and {backbone.name or 'the network'} "
            f"has none of {', '.join(missing)}",
            "stages",
        )
    return Backbone(builder=_builder_of(body, backbone, act), maps=maps)


def _builder_of(
    body: tuple[tuple[str, Block], ...], backbone: Architecture, act: str
) -> ArchitectureBuilder:
    builder = ArchitectureBuilder(input_channels=backbone.input_channels, act=act)
    for place, block in body:
        builder.section = place.rpartition(".")[0]
        builder.put(block)
    builder.section = "head"
    return builder


def tapped(backbone: Architecture, *, act: str) -> Backbone:
    """Return the blocks up to the last convolution, with the maps that SSDLite reads.

    The map at stride 16 is the expansion of the first block with stride 32, which becomes a
    separate block, or the input of that block if it has no expansion. The map at stride 32 is the
    last convolution.

    Raises:
        BadValue: if no block goes from stride 16 to 32, or a later one goes beyond.
    """
    body = body_of(backbone)
    total = dict(zip((place for place, _ in body), strides(lower(backbone)), strict=False))
    if 16 not in total.values() or max(total.values()) != 32:
        raise BadValue(
            f"the head needs maps of stride 16 and 32 at the end, and "
            f"{backbone.name or 'the network'} ends at stride {max(total.values())}",
            "stages",
        )
    first = next(place for place, stride in total.items() if stride == 32)
    builder = ArchitectureBuilder(input_channels=backbone.input_channels, act=act)
    maps = {}
    for place, block in body:
        builder.section = place.rpartition(".")[0]
        if place == first:
            maps[16], block = _expansion(builder, block)
        builder.put(block)
    builder.section = "head"
    return Backbone(builder=builder, maps={**maps, 32: builder.last})


def taps_of_tapped(backbone: Architecture) -> Taps:
    """Return the taps of a head on the maps of `tapped`."""
    return Taps(split=first_of(backbone, 32), keeps_convolutions=True, apart=True)


def first_of(backbone: Architecture, stride: int) -> str:
    """Return the place of the first block whose output has this stride relative to the image."""
    places = (place for place, _ in backbone.named_blocks())
    found = zip(places, strides(lower(backbone)), strict=False)
    return next(place for place, total in found if total == stride)


def _expansion(builder: ArchitectureBuilder, block: Block) -> tuple[str, Block]:
    """Add the expansion of `block` separately; return its place, and the rest of `block`."""
    if not splits(block):
        return builder.last, block
    place = builder.conv(builder.last, block.hidden_channels, act=block.act)
    return place, replace(block, **rest_of(block))


def with_head_of(
    builder: ArchitectureBuilder, backbone: Architecture, detector: Detector, made_by: str
) -> Architecture:
    """Return the detector in `builder`, with other fields of `backbone`; `made_by` is its head."""
    return builder.architecture(
        resolution=backbone.resolution,
        detector=detector,
        drop_connect=backbone.drop_connect,
        norm_epsilon=backbone.norm_epsilon,
        padding=backbone.padding,
        detector_head=made_by,
    )
