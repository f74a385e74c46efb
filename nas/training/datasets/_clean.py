"""Bring boxes to fractions of upright images, and leave out those that make no sense."""

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile
from nas.core.text import few
from nas.training.datasets._annotations import Annotations
from nas.training.objects import Ints

Corners = NDArray[np.float64]
Flags = NDArray[np.bool_]
SIDEWAYS = 5
"""Orientations of EXIF from this on exchange width and height."""
MAX_FRACTION = 1.5
SLACK = 1.0
"""Pixels by which a box may leave its image without being counted as cut."""
HALF = 0.5
"""A larger share of boxes that do not fit is no accident."""


def upright(found: Annotations, stored: Ints, turns: Ints) -> tuple[Corners, Ints, tuple[str, ...]]:
    """Return corners as fractions of upright images, the sizes of these, and a note.

    `stored` are width and height of the files, of shape (n, 2), `turns` their orientations by EXIF.
    Boxes in pixels are those of the file as it is stored, and turned with it, unless the size that
    the annotations tell has the shape of the upright image. Fractions are of the upright image.

    Raises:
        BadFile: if pixels look like fractions, or fractions like pixels.
    """
    sideways = turns >= SIDEWAYS
    whole = np.where(sideways[:, None], stored[:, ::-1], stored)
    if found.fractions:
        _check_fractions(found)
        return found.corners, whole, ()
    _check_pixels(found)
    told: Flags = found.sizes.min(axis=1) > 0
    fits = sideways & told & (_apart(found.sizes, whole) < _apart(found.sizes, stored))
    measured = np.where(told[:, None], found.sizes, stored)
    corners = found.corners / np.tile(measured, 2)[found.owners]
    turned = np.where(fits, 1, turns)
    corners = _turned(corners, turned[found.owners])
    notes = [_exif(turns, turned), _resized(found, told, np.where(fits[:, None], whole, stored))]
    return corners, whole, tuple(note for note in notes if note)


def _apart(sizes: Ints, others: Ints) -> NDArray[np.float64]:
    """Return how far the shapes of images are apart."""
    one, two = np.maximum(sizes, 1), np.maximum(others, 1)
    apart: NDArray[np.float64] = np.abs(
        np.log(one[:, 0] / one[:, 1]) - np.log(two[:, 0] / two[:, 1])
    )
    return apart


def _turned(corners: Corners, turns: Ints) -> Corners:
    """Return corners in the image that its orientation of EXIF makes upright."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    across = {2: 1 - x, 3: 1 - x, 5: y, 6: 1 - y, 7: 1 - y, 8: y}
    down = {3: 1 - y, 4: 1 - y, 5: x, 6: x, 7: 1 - x, 8: 1 - x}
    new_x, new_y = x.copy(), y.copy()
    for turn in range(2, 9):
        rows = turns == turn
        new_x[rows] = across.get(turn, x)[rows]
        new_y[rows] = down.get(turn, y)[rows]
    points = np.stack([new_x, new_y], axis=1)  # (m, x or y, first or second)
    return np.concatenate([points.min(axis=2), points.max(axis=2)], axis=1)


def _exif(turns: Ints, turned: Ints) -> str:
    count = int((turns > 1).sum())
    boxes = int((turned > 1).sum())
    if not count:
        return ""
    return (
        f"images that EXIF turns ({count}): boxes of {boxes} are of the stored pixels, and turned "
        f"along; of {count - boxes} the annotations have the size of the upright image"
    )


def _resized(found: Annotations, told: Flags, sizes: Ints) -> str:
    """Return a note on images that have another size than their annotations say."""
    other = np.flatnonzero(told & (found.sizes != sizes).any(1))
    if not len(other):
        return ""
    first = other[0]
    (width, height), (here, there) = found.sizes[first], sizes[first]
    return (
        f"images of another size than annotated ({len(other)}): boxes are scaled along, as in "
        f"{found.names[first]}, annotated {width}x{height}, now {here}x{there}"
    )


def _check_fractions(found: Annotations) -> None:
    """Refuse boxes whose numbers are mostly too large for fractions."""
    large = np.abs(found.corners).max(1) > MAX_FRACTION
    if large.sum() > HALF * len(large):
        worst = int(np.abs(found.corners).max(1).argmax())
        raise BadFile(
            f"{int(large.sum())} of {len(large)} boxes look like pixels: they reach to "
            f"{np.abs(found.corners).max():.6g} in {found.names[found.owners[worst]]}; expected "
            "centre, width and height as fractions of the image, from 0 to 1"
        )


def _check_pixels(found: Annotations) -> None:
    """Refuse boxes whose numbers are all fractions."""
    if len(found.corners) and np.abs(found.corners).max() <= 1:
        raise BadFile(
            f"all {len(found.corners)} boxes lie between 0 and 1: they look like fractions, but "
            "this format has pixels; multiply them by width and height"
        )


def clean(
    corners: Corners, sizes: Ints, found: Annotations
) -> tuple[Corners, Flags, tuple[str, ...]]:
    """Return the boxes that are left, cut to their images, which ones they are, and notes.

    `corners` are fractions of images of `sizes`; those of `found` are as they were given.

    Raises:
        BadFile: if most boxes lie outside of their images.
    """
    given = found.corners[:, 2:] - found.corners[:, :2]
    flat: Flags = given.min(axis=1) <= 0
    cut = corners.clip(0, 1)
    outside = ~flat & ((cut[:, 2:] - cut[:, :2]) <= 0).any(1)
    beyond = np.abs(cut - corners) * np.tile(sizes, 2)[found.owners]
    partly = ~flat & ~outside & (beyond > SLACK).any(1)
    if outside.sum() > HALF * len(outside):
        raise BadFile(
            f"{int(outside.sum())} of {len(outside)} boxes lie outside of their images, as in "
            f"{_some(outside, found, 1)}; are they in other units, or of other images?"
        )
    notes = (
        ("skipped boxes without width or height", flat),
        ("skipped boxes outside of their images", outside),
        ("boxes that leave their images are cut", partly),
    )
    kept = ~flat & ~outside
    said = tuple(
        f"{what} ({rows.sum()}): {_some(rows, found)}" for what, rows in notes if rows.any()
    )
    return cut[kept], kept, said


def _some(rows: Flags, found: Annotations, most: int = 3) -> str:
    names = dict.fromkeys(found.names[owner] for owner in found.owners[rows][:1000])
    return few(list(names), most)
