"""Build detectors by name: "ssdlite:BACKBONE", "yolo:BACKBONE@416,classes=3"."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nas.core.errors import BadValue, NasError
from nas.core.plugins import Plugin, available, create
from nas.network.blocks import Architecture, Block

KIND = "heads"
RESOLUTION = 320
"""The default side of the input, in pixels."""
_SIDE = re.compile(r"(?P<backbone>.*[^@])@(?P<side>\d{2,5})")
_MIN_SIDE = 32
"""From this number on, a number after @ is a resolution; below, a width multiplier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """The parts of a backbone on which a head depends, besides its options and the input's side.

    The head depends on three things: the input channels of the blocks at the places `inputs`; the
    channels before the pooling (with `keeps_convolutions`) or after the stages (without, when
    nothing of the classifier's head is kept); and the expansion of the block `split`, which becomes
    a separate block if it `splits`. With `apart`, no unit of the head depends on more than one of
    these channel counts. `halved`, if given, changes the tail, which is the last non-empty stage
    and all that follows: called with a block, its part ("first" of that stage, "rest", or "head")
    and the network's divisor for `squeeze_by`, it returns the new block.

    The plugin of a head may have a function `taps` with the arguments of `create`. It returns these
    for a backbone, or None if the head depends on more; the costs of a space's detectors are then
    looked up by these parts.
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
    return not (block.skip == "pool" and block.keeps_channels)  # the shortcut reads its input


def rest_of(block: Block) -> dict[str, Any]:
    """Return the fields that change when the expansion of a block is split off."""
    skip = "none" if block.skip == "pool" else block.skip  # its channels may now be equal
    return {"in_channels": block.hidden_channels, "skip": skip}


def has_head(text: str) -> bool:
    """Return whether `text` begins with the name of a head, as in "ssdlite:mobilenet_v2"."""
    name, colon, _ = text.partition(":")
    return bool(colon) and name in available(KIND)


def with_head(backbone: Architecture, like: Architecture) -> Architecture:
    """Return a detector of `backbone` with the head, classes and name of the detector `like`.

    Raises:
        BadValue: if the head of `like` is unknown, or does not fit.
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
    """Return the name of a backbone, and the side of the input that follows it."""
    match = _SIDE.fullmatch(path)
    if match and int(match["side"]) >= _MIN_SIDE:
        return match["backbone"], int(match["side"])
    return path, RESOLUTION


def detector_of(text: str, find: Callable[[str], Architecture]) -> Architecture:
    """Return the detector that `text` names: "HEAD:BACKBONE" or "HEAD:BACKBONE@SIDE,key=value".

    `find` returns the architecture of the backbone; the options are those of the head. The side of
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
