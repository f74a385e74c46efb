"""Detectors by name: "ssdlite:BACKBONE", "yolo:BACKBONE@416,classes=3"."""

import re
from collections.abc import Callable
from dataclasses import replace

from nas.core.errors import BadValue, NasError
from nas.core.plugins import Plugin, available, create
from nas.network.blocks import Architecture

KIND = "heads"
RESOLUTION = 320
"""The usual side of the input, in pixels."""
_SIDE = re.compile(r"(?P<backbone>.*[^@])@(?P<side>\d{2,5})")
_LEAST_SIDE = 32
"""From this number on, what follows an @ is a resolution, otherwise a width multiplier."""


def has_head(text: str) -> bool:
    """Tell whether `text` begins with the name of a head, as in "ssdlite:mobilenet_v2"."""
    name, colon, _ = text.partition(":")
    return bool(colon) and name in available(KIND)


def with_head(backbone: Architecture, like: Architecture) -> Architecture:
    """Return a detector of `backbone` with the head, the classes and the name of another one.

    Raises:
        BadValue: if that says of no head, or the head does not fit.
    """
    if like.detector is None or not like.detector_head:
        raise BadValue(f"{like.name or 'the network'} does not say what head it has", "detector")
    plugin = Plugin.parse(like.detector_head)
    found: Architecture = create(KIND, plugin, backbone, classes=like.detector.classes)
    return replace(found, name=like.name)


def backbone_in(text: str) -> str:
    """Return the name of the backbone in the name of a detector."""
    return _sized(Plugin.parse(text).options.get("path", ""))[0]


def _sized(path: str) -> tuple[str, int]:
    """Return the name of a backbone, and the side of the input that stands behind it."""
    match = _SIDE.fullmatch(path)
    if match and int(match["side"]) >= _LEAST_SIDE:
        return match["backbone"], int(match["side"])
    return path, RESOLUTION


def detector_of(text: str, find: Callable[[str], Architecture]) -> Architecture:
    """Return the detector that `text` names: "HEAD:BACKBONE" or "HEAD:BACKBONE@SIDE,key=value".

    `find` gives the architecture of the backbone; the options are those of the head. The side of
    the input is 320 pixels by default.

    Raises:
        NasError: if there is no such backbone or option, or the head does not fit.
    """
    plugin = Plugin.parse(text)
    options = dict(plugin.options)
    path = options.pop("path", "")
    if not path:
        raise NasError(f"{text} names no backbone; write {plugin.name}:mobilenet_v3_large, say")
    name, side = _sized(path)
    backbone = find(name)
    resized = replace(backbone, resolution=side)
    try:
        found: Architecture = create(KIND, Plugin(name=plugin.name, options=options), resized)
    except BadValue as error:
        raise BadValue(f"{text}: {error}", *error.path) from None
    return replace(found, name=f"{plugin.name}_{backbone.name}" if backbone.name else plugin.name)
