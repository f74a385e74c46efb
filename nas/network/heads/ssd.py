"""SSD: boxes by plain convolutions on six maps (SSD-MobileNetV1)."""

from typing import Any

from nas.network.blocks import Architecture
from nas.network.builder import ArchitectureBuilder
from nas.network.detectors import Taps
from nas.network.heads._backbone import tapped, taps_of_tapped, with_head_of
from nas.network.heads._ssd import SMALLEST, anchors, extra_maps, predictions


def _shrink(builder: ArchitectureBuilder, source: str, channels: int) -> str:
    return builder.conv(source, channels, kernel=3, stride=2)


def create(
    backbone: Architecture,
    *,
    classes: int = 90,
    fewer_anchors: bool = True,
    smallest: float = SMALLEST,
    kernel: int = 1,
) -> Architecture:
    """Return SSD on `backbone` (Liu et al., 2016; Howard et al., 2017, section 4.6).

    The extra maps are computed by full convolutions, the predictions by convolutions of `kernel` (1
    as in TensorFlow's SSD-MobileNetV1). The other options are those of ssdlite.
    """
    found = tapped(backbone, act="relu6")
    builder = found.builder
    maps = extra_maps(builder, (found.maps[16], found.maps[32]), backbone.resolution, _shrink)

    def predict(builder: ArchitectureBuilder, source: str, numbers: int) -> str:
        return builder.add("predict", source, numbers, kernel=kernel, act="none")

    boxes = anchors(len(maps), fewer=fewer_anchors, smallest=smallest)
    detector = predictions(builder, maps, predict, classes=classes, boxes_of=boxes)
    made_by = (
        f"ssd:fewer_anchors={str(fewer_anchors).lower()},smallest={smallest:g},kernel={kernel}"
    )
    return with_head_of(builder, backbone, detector, made_by)


def taps(backbone: Architecture, **_: Any) -> Taps:
    """Return the parts of `backbone` on which the head depends."""
    return taps_of_tapped(backbone)
