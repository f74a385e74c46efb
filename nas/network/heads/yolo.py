"""YOLOv8's head on three maps: path aggregation, no anchors, distances as distributions."""

from typing import Any

from nas.core.errors import BadValue
from nas.network.blocks import Architecture
from nas.network.builder import ArchitectureBuilder
from nas.network.csp import SWISH, c2f, pyramid_pooling
from nas.network.detectors import Taps
from nas.network.heads._backbone import features, first_of, with_head_of
from nas.network.heads._pan import Parts, aggregated, anchor_free
from nas.network.multipliers import round_channels

STRIDES = (8, 16, 32)
FULL = (256, 512, 1024)
"""The channels of the three maps at width 1; YOLOv8n has width 0.25, YOLOv8s 0.5."""


def create(
    backbone: Architecture, *, classes: int = 80, width: float = 0.25, act: str = SWISH
) -> Architecture:
    """Return `backbone` with the neck and head of YOLOv8 on its maps of stride 8, 16 and 32.

    Spatial pyramid pooling follows the last map. `width` multiplies the channels of neck and head,
    and `act` is their activation.
    """
    if not 0.05 <= width <= 4:
        raise BadValue(f"width must be 0.05 to 4, not {width:g}", "width")
    side = backbone.resolution
    if side % STRIDES[-1]:
        lower = side // STRIDES[-1] * STRIDES[-1]
        raise BadValue(
            f"the resolution must be a multiple of {STRIDES[-1]}, as {max(lower, STRIDES[-1])} or "
            f"{lower + STRIDES[-1]}, not {side}: maps are doubled and joined",
            "resolution",
        )
    widths = tuple(round_channels(width * channels) for channels in FULL)
    found = features(backbone, act=act)
    builder = found.builder
    *finer, last = (found.maps[stride] for stride in STRIDES)
    maps = (*finer, pyramid_pooling(builder, last, widths[-1]))
    results = aggregated(builder, maps, widths, Parts(grow=_grow, shrink=_shrink))
    made_by = f"yolo:width={width:g},act={act}"
    return with_head_of(builder, backbone, anchor_free(builder, results, classes=classes), made_by)


def taps(backbone: Architecture, **_: Any) -> Taps:
    """Return the parts on which the head depends: the channels of the last map of each stride."""
    return Taps(inputs=tuple(first_of(backbone, stride) for stride in STRIDES[1:]))


def _grow(builder: ArchitectureBuilder, source: str, channels: int) -> str:
    return c2f(builder, source, channels, repeats=1, residual=False)


def _shrink(builder: ArchitectureBuilder, source: str, channels: int) -> str:
    return builder.conv(source, channels, kernel=3, stride=2)
