"""What is white in images of more than 8 bits a channel: decided for a data set, not an image.

A file of 16 bits may hold values of 12, one of fractions may reach to 1 or to 255. The file decides
where it says so: TIFF by the tags of its samples; PGM and JPEG 2000, whose values Pillow scales to
16 bits. PNG's sBIT says how exact values are, not how far they reach. Else the data set decides:
the least common depth that holds the largest value in any of its images.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.core.errors import BadValue

MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Those of Pillow with more than 8 bits."""
DEPTHS = (8, 10, 12, 14, 16, 24, 32)
MAX_BITS = 32
_SCALED = ("PPM", "JPEG2000")
_BITS, _LARGEST = (258, (281, 341))
"""Numbers of TIFF's tags BitsPerSample, MaxSampleValue and SMaxSampleValue."""

Largest = Mapping[str, float]
"""The largest value of images that do not say their depth, for whole numbers "i", fractions "f"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class White:
    """The value that becomes 255, for images that do not say it, or for all if `told`."""

    whole: float = 65535.0
    fraction: float = 1.0
    told: bool = False  # its repr is part of fingerprints

    def of(self, image: Image.Image) -> float:
        """Return the value that is white in `image`."""
        said = None if self.told else declared(image)
        return said or (self.fraction if image.mode == "F" else self.whole)


def check_depth(depth: int) -> None:
    """Refuse what is no number of bits.

    Raises:
        BadValue: naming the option.
    """
    if not 0 <= depth <= MAX_BITS:
        raise BadValue(f"depth must be from 1 to {MAX_BITS} bits, or 0 to find it, not {depth}")


def declared(image: Image.Image) -> float | None:
    """Return the value that is white by what the file says, None if it does not say."""
    if image.format in _SCALED:
        return 65535.0
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.mode == "F":
        return None
    for tag in _LARGEST:
        value = _number(tags.get(tag))
        if value and value > 1:
            return _white(value)  # some writers give the largest value of this one image
    bits = _number(tags.get(_BITS))
    return 2.0**bits - 1 if bits and 8 < bits < 16 else None


def _number(value: object) -> float | None:
    value = value[0] if isinstance(value, tuple) and value else value
    try:
        return float(value)  # type: ignore[arg-type]  # tried, whatever the tag holds
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def largest(image: Image.Image) -> Largest:
    """Return the largest value of a deep image that does not say its depth."""
    if image.mode not in MODES or declared(image) is not None:
        return {}
    values = np.asarray(image)
    known = values[np.isfinite(values)]
    return {"f" if image.mode == "F" else "i": float(known.max()) if known.size else 0.0}


def is_cut(image: Image.Image) -> bool:
    """Tell whether Pillow reads only the upper 8 of a colour's 16 bits; not after it was loaded."""
    return image.mode not in MODES and any(
        ";16" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def decide(found: Iterable[Largest], depth: int) -> tuple[White, tuple[str, ...]]:
    """Return what is white in a data set, and a note if it was found by the largest values.

    `depth` is what the user says, in bits; 0 for nothing.
    """
    most: dict[str, float] = {}
    for one in found:
        for kind, value in one.items():
            most[kind] = max(value, most.get(kind, value))
    if depth:
        return White(whole=2.0**depth - 1, fraction=2.0**depth - 1, told=True), ()
    whites = {kind: _white(value) for kind, value in most.items()}
    kinds = {"i": "images of more than 8 bits", "f": "images of fractions"}
    notes = tuple(
        f"{kinds[kind]}: {white:.0f} is taken for white, since the largest value in any of them is "
        f"{most[kind]:.6g}; depth=BITS sets it"
        for kind, white in sorted(whites.items(), reverse=True)
    )
    return White(whole=whites.get("i", 65535.0), fraction=whites.get("f", 1.0)), notes


def _white(most: float) -> float:
    if most <= 1:
        return 1.0
    return next((2.0**bits - 1 for bits in DEPTHS if most <= 2**bits - 1), most)


def to_bytes(values: NDArray[np.generic], white: float) -> NDArray[np.uint8]:
    """Return `values` from 0 to `white` as 0 to 255; what is no number becomes 0."""
    numbers = np.nan_to_num(values.astype(np.float64), posinf=white) * (255 / white)
    return numbers.round().clip(0, 255).astype(np.uint8)
