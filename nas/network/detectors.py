"""Detectors by name: "ssdlite:BACKBONE", "yolo:BACKBONE@416,classes=3"."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nas.core.errors import BadValue, NasError
from nas.core.plugins import Plugin, available, create
from nas.network.blocks import Architecture, Block

KIND = "heads"
RESOLUTION = 320
"""The usual side of the input, in pixels."""
_SIDE = re.compile(r"(?P<backbone>.*[^@])@(?P<side>\d{2,5})")
_LEAST_SIDE = 32
"""From this number on, what follows an @ is a resolution, otherwise a width multiplier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """What decides a head besides its options and the side of the input, by places of blocks.

    These are the input channels of the blocks `inputs`, those in front of the pooling (with
    `keeps_convolutions`, else those behind the stages), and the expansion of the block `split`,
    which becomes a block of its own where it `splits`. Without `keeps_convolutions` nothing of the
    classifier's head stays. `apart` says that no unit of the head depends on several of the
    channels. `halved` is there where the tail is changed, the last stage with blocks and what is
    behind: what a block becomes that is the "first" of this stage, of the "rest", or of the "head",
    given the divisor for `squeeze_by` of the network.

    The plugin of a head may have a function `taps` like its `create`, which returns these for a
    backbone, or None where more of it decides: what detectors of a space cost is then looked up by
    what decides them.
    """

    inputs: tuple[str, ...] = ()
    split: str = ""
    keeps_convolutions: bool = False
    apart: bool = False
    halved: Callable[[Block, str, int], Block] | None = None


def splits(block: Block) -> bool:
    """Return whether the expansion of `block` can be a block of its own."""
    if block.kind != "mbconv" or not block.expands:
        return False
    return not (block.skip == "pool" and block.keeps_channels)  # a shortcut of what it expands


def rest_of(block: Block) -> dict[str, Any]:
    """Return the fields of what is left of a block that `splits`, where they differ."""
    skip = "none" if block.skip == "pool" else block.skip  # it may keep its channels now
    return {"in_channels": block.hidden_channels, "skip": skip}


def has_head(text: str) -> bool:
    """Return whether `text` begins with the name of a head, as in "ssdlite:mobilenet_v2"."""
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
