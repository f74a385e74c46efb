"""Load architectures by name: bundled ones, with their published accuracy, and files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from nas.core import data
from nas.core.errors import BadFile, BadValue, NasError, unknown
from nas.core.schema import Fraction, Reader, check_schema, locate
from nas.core.text import LONGEST_VALUE, printable
from nas.network.blocks import Architecture, from_mapping
from nas.network.detectors import detector_of, has_head
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution, scale_width
from nas.network.ofa import is_net_config, read_net_config

DETECTORS = "architectures/detectors"
"""The folder of bundled detectors."""
_SCALED = re.compile(r"(?P<base>\w+)@(?P<width>\d*\.?\d+)(-(?P<resolution>\d{1,100}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAccuracy:
    """The published ImageNet top-1 accuracy of an architecture, and its source."""

    top1: Fraction
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWeights:
    """Published ImageNet weights of an architecture: a value for `weights`, and their top-1."""

    source: str
    top1: Fraction
    licence: str


def load_architecture(name: str | Path) -> Architecture:
    """Return the architecture with a bundled name, or in a YAML or JSON file.

    A bundled name may have a width multiplier and a resolution, as in "mobilenet_v1@0.75-192". The
    file may be a net.config of Once-for-All. Detectors are bundled too, as in "yolov8n" or, with
    another side of the input, "yolov8n@320", or given as a head on a backbone:
    "ssdlite:mobilenet_v2@320" (see `nas.network.detectors`).

    Raises:
        UnknownName: if no bundled architecture has the name; it lists the closest ones.
        BadFile: if the file is missing or malformed; it names the line and the key.
    """
    text = str(name)
    if has_head(text):
        return detector_of(text, load_architecture)
    scaled = _SCALED.fullmatch(text)
    if scaled:
        return _scale(scaled)
    path = data.bundled(DETECTORS).get(text) or _find(text)
    return (_load_once if _is_bundled(path) else _load)(path)


def _find(text: str) -> Path:
    if not data.is_path(text) and text not in data.bundled("architectures"):
        known = [*data.bundled("architectures"), *data.bundled(DETECTORS)]
        raise unknown("architecture", text, known)
    return data.find("architecture", text, where="architectures")


def _load(path: Path) -> Architecture:
    """Return the architecture in a file, named as it says or else after the file."""
    content = _content(path)
    if is_net_config(content):
        arch = read_net_config(content, path)
    else:
        check_schema(content, place=str(path))
        arch = from_mapping(content, source=str(path))
    try:
        lower(arch)
    except BadValue as error:
        raise BadFile(f"{locate(content, error.path, str(path))}: {error}") from None
    return arch if arch.name else replace(arch, name=printable(path.stem, LONGEST_VALUE))


_load_once = cache(_load)


def _is_bundled(path: Path) -> bool:
    """Return whether a file is bundled, and so never changes."""
    return path.parent in (data.folder("architectures"), data.folder(DETECTORS))


def _content(path: Path) -> Mapping[str, Any]:
    """Return the content of a file."""
    return (_read_once if _is_bundled(path) else data.read_foreign)(path)


_read_once = cache(data.read_foreign)


def _scale(match: re.Match[str]) -> Architecture:
    base = load_architecture(match["base"])
    if match["base"] in data.bundled(DETECTORS):
        return _resized(base, match)
    if not 0.05 <= float(match["width"]) <= 10:
        raise NasError(f"width multiplier must be between 0.05 and 10, not {match['width']}")
    arch = scale_width(base, float(match["width"]))
    if match["resolution"]:
        arch = scale_resolution(arch, int(match["resolution"]))
    return replace(arch, name=match[0])


def _resized(detector: Architecture, match: re.Match[str]) -> Architecture:
    """Return a bundled detector with another side of the input, which stands in for the width."""
    if match["resolution"] or not match["width"].isdecimal():
        raise NasError(
            f"{match[0]}: bundled detectors have no width multiplier; write {match['base']}@320 "
            "for another side of the input"
        )
    arch = scale_resolution(detector, int(match["width"]))
    try:
        lower(arch)
    except BadValue as error:
        raise BadValue(f"{match[0]}: {error}", *error.path) from None
    return replace(arch, name=match[0])


def published_accuracy(name: str) -> PublishedAccuracy | None:
    """Return the published accuracy of a bundled architecture, None if unknown."""
    path = data.bundled("architectures").get(name)
    if path is None:
        return None
    content = _content(path)
    found: PublishedAccuracy | None = None
    if "reference" in content:
        found = Reader(path).get(content, "reference", PublishedAccuracy | None)
    return found


def published_weights(name: str) -> tuple[PublishedWeights, ...]:
    """Return the known published weights of a bundled architecture, best first."""
    path = data.bundled("architectures").get(name)
    content = _content(path) if path else {}
    if path is None or "weights" not in content:
        return ()
    found = Reader(path).get(content, "weights", tuple[PublishedWeights, ...])
    return tuple(sorted(found, key=lambda weights: -weights.top1))
