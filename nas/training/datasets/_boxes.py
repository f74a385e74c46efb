"""Make a source of images and the boxes that annotation files tell of them."""

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile
from nas.core.text import few
from nas.training.data import Images, Source, fingerprint_of
from nas.training.datasets._annotations import Annotations
from nas.training.datasets._clean import clean, upright
from nas.training.datasets._depth import White, decide
from nas.training.datasets._files import Stored
from nas.training.datasets._pictures import find_bad, from_files, most_bad
from nas.training.datasets._table import Wanted, with_splits
from nas.training.label_checks import MAX_OBJECTS
from nas.training.objects import Objects, gathered


def source_of(
    found: Annotations, files: Stored, wanted: Wanted, notes: Sequence[str] = ()
) -> Source:
    """Return the source of those images that can be decoded, with those boxes that make sense.

    Raises:
        BadFile: if too many images are bad, or most boxes do not fit their images.
    """
    _check_counts(found, files)
    opens = partial(_open, files, found.names)
    called = [files.called(name) for name in found.names]
    checked = find_bad(opens, called, check=wanted.check, max_bad=wanted.max_bad)
    white, said = decide(checked.largest, wanted.depth)
    found = found.take(checked.good)
    corners, sizes, turned = upright(found, checked.sizes, checked.turns)
    corners, kept, cut = clean(corners, sizes, found)
    if not np.any(kept):
        count, why = len(found.labels), "; ".join(cut)
        raise BadFile(f"{files.called('')}: none of its {count} boxes can be used: {why}")
    told = found.sizes.prod(axis=1)
    scale = np.where(told > 0, sizes.prod(axis=1) / np.maximum(told, 1), 1.0)
    found = found.only(kept)
    objects = gathered(
        found.owners,
        corners=corners,
        labels=found.labels,
        crowd=found.crowd,
        sizes=sizes,
        areas=found.areas * scale[found.owners],  # of images that were resized since, too
    )
    splits = with_splits(found.splits, objects, wanted)

    def images(split: str) -> Images:
        rows = np.flatnonzero(splits == split)
        names = tuple(found.names[row] for row in rows)
        places = [files.called(name) for name in names]
        return from_files(partial(_open, files, names), places, objects[rows], white)

    tested = splits == "test"
    blank = tested.any() and not objects[tested].counts.any()
    untold = ("the test images have no boxes: they are not used",) if blank else ()
    return Source(
        classes=found.classes,
        train=images("train"),
        val=images("val"),
        test=images("test") if tested.any() and not blank else None,
        fingerprint=_fingerprint(replace(found, splits=splits), objects, files, white),
        notes=(
            *notes,
            *checked.notes,
            *said,
            *turned,
            *cut,
            *_crowds(objects),
            *_twice(found),
            *untold,
        ),
        task="detection",
    )


def _open(files: Stored, names: Sequence[str], index: int) -> Path | bytes:
    return files.open(names[index])


def _check_counts(found: Annotations, files: Stored) -> None:
    """Refuse annotations without any object, and images of far too many."""
    if not found.names:
        raise BadFile(f"{files.called('')}: there are no images in it")
    if not len(found.labels):
        raise BadFile(
            f"{files.called('')}: there are no boxes in its {len(found.names)} images; a detector "
            "needs some"
        )
    counts = np.bincount(found.owners)
    if counts.max() > MAX_OBJECTS:
        raise BadFile(
            f"{files.called(found.names[int(counts.argmax())])} has {counts.max():,} boxes, more "
            f"than {MAX_OBJECTS:,}; cut the image into parts, or remove it"
        )


def _crowds(objects: Objects) -> tuple[str, ...]:
    crowds = int(objects.crowd.sum())
    return (
        (f"crowds and difficult objects ({crowds}) are neither learned nor missed",)
        if crowds
        else ()
    )


def _twice(found: Annotations) -> tuple[str, ...]:
    """Return a note on images that are in several splits, or come twice in one."""
    again = len(found.names) - len(set(found.names))
    if not again:
        return ()
    return (f"images that come more than once ({again}): what is learned there is no test",)


def _fingerprint(found: Annotations, objects: Objects, files: Stored, white: White) -> str:
    """Return that of classes, files and objects, in whatever order they were found."""
    names = _from_anywhere(found.names)
    order = np.lexsort((found.splits, np.array(names)))
    lines = [f"{names[row]}\0{files.size(found.names[row])}\0{found.splits[row]}" for row in order]
    own = objects[order]
    facts = [f"white {white}"] if white != White() else []
    arrays = (own.starts, own.corners, own.labels, own.crowd)
    return fingerprint_of(
        ["boxes", *found.classes, *lines, *(part.tobytes() for part in arrays), *facts]
    )


def _from_anywhere(names: Sequence[str]) -> list[str]:
    """Return names without the folder that all absolute ones share."""
    absolute = [posixpath.dirname(name) for name in names if name.startswith("/")]
    if not absolute:
        return list(names)
    start = posixpath.commonpath(absolute)
    return [posixpath.relpath(name, start) if name.startswith("/") else name for name in names]


def without_missing(
    found: Annotations, there: NDArray[np.bool_], files: Stored, max_bad: int
) -> tuple[Annotations, tuple[str, ...]]:
    """Return the images whose files are there, and a note on the others.

    Raises:
        BadFile: if more are missing than `max_bad` allows, or all.
    """
    if there.all():
        return found, ()
    gone = [found.names[row] for row in np.flatnonzero(~there)]
    limit = most_bad(len(there), max_bad)
    if len(gone) > limit or not there.any():
        raise BadFile(
            f"{files.called('')}: {len(gone)} of {len(there)} annotated images are missing: "
            f"{few(gone)}; max_bad allows {limit}. Say where they lie, or raise max_bad"
        )
    return found.take(np.flatnonzero(there)), (
        f"skipped annotations whose images are missing ({len(gone)}): {few(gone)}",
    )
