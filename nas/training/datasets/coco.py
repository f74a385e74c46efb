"""COCO: images with boxes in a JSON file for each split, in a folder or a zip."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.core.errors import BadFile, BadValue
from nas.core.text import few
from nas.training.data import Source
from nas.training.datasets._annotations import Builder
from nas.training.datasets._boxes import source_of, without_missing
from nas.training.datasets._coco_json import BOXES, LARGEST, CocoFile, parse
from nas.training.datasets._files import Files, located
from nas.training.datasets._labels import SPLITS
from nas.training.datasets._pictures import SUFFIXES, check_options
from nas.training.datasets._table import Wanted

TRIED = 50
"""Images that are looked for in every folder where they may lie."""
MAX_FOLDERS = 3
"""JSON files in deeper folders are no annotations."""
_PREFIX = "instances_"


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    images: str = "",
    boxes: str = "xywh",
    val: float = 0.2,
    test: float = 0.0,
    max_bad: int = -1,
    check: str = "full",
    depth: int = 0,
    seed: int,
) -> Source:
    """Return the images that a JSON file of COCO's format names, or such files in a folder or zip.

    In a folder the files are annotations/instances_train2017.json and its like, or
    train/_annotations.coco.json; their names tell the splits. Images are looked for beside the
    file, in images/, and in folders with the name of the split, or in the folder `images`. Without
    validation images a share `val` is taken, `test` in the same way. `boxes` are "xywh", left, top,
    width and height, or "xyxy", left, top, right and bottom. Crowds are neither learned nor counted
    as missed. Up to `max_bad` images may be missing, or not be decoded (-1: 1 %, at least 10);
    `check` and `depth` are those of `imagefolder`.

    Raises:
        BadFile: if there are no such files, or one of them says something else.
    """
    check_options(check, max_bad, depth)
    if boxes not in BOXES:
        raise BadValue(f"boxes must be {' or '.join(BOXES)}, not {boxes!r}", "boxes")
    files, name = located(path)
    folder = str(Path(images).expanduser().absolute()) if images else ""
    listed = {"train": name} if name else _listed(files)
    read = {
        split: parse(files.read(file, LARGEST), files.called(file), boxes)
        for split, file in listed.items()
    }
    classes, notes = _classes(files, read)
    builder, spare = Builder.empty(), list[str]()
    for split, coco in read.items():
        where = folder or _folder(files, listed[split], split, coco)
        _add(builder, split, coco, classes, where)
        spare += _spare(files, where, coco)
    found = builder.done(classes)
    there = np.array([files.has(image) for image in found.names], np.bool_)
    found, missing = without_missing(found, there, files, max_bad)
    if spare:
        notes += (f"images that no annotations name are not used ({len(spare)}): {few(spare)}",)
    wanted = Wanted(val=val, test=test, max_bad=max_bad, check=check, depth=depth, seed=seed)
    notes = (*(note for coco in read.values() for note in coco.notes), *notes, *missing)
    return source_of(found, files, wanted, notes)


def _listed(files: Files) -> dict[str, str]:
    """Return the JSON file of every split."""
    names = [
        name
        for name in files.under("")
        if name.lower().endswith(".json") and name.count("/") < MAX_FOLDERS
    ]
    names = [name for name in names if posixpath.basename(name).startswith(_PREFIX)] or names
    found: dict[str, str] = {}
    for name in names:
        split = _split(name)
        if split in found:
            raise BadFile(
                f"{files.called('')}: found {found[split]} and {name} for {split}; name the one to "
                f"be used, as in coco:{files.called(name)}"
            )
        if split:
            found[split] = name
    if not found and len(names) == 1:
        return {"train": names[0]}
    if "train" not in found:
        there = few(names) if names else "no JSON file"
        raise BadFile(
            f"{files.called('')}: found {there}, but no annotations for training; expected "
            f"annotations/{_PREFIX}train2017.json or train/_annotations.coco.json, or name the file"
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _split(name: str) -> str:
    """Return the split that the name of a file or its folder tells, "" if neither does."""
    stem = posixpath.splitext(posixpath.basename(name))[0].lower().removeprefix(_PREFIX)
    word = re.match(r"[a-z]*", stem)
    folder = posixpath.basename(posixpath.dirname(name)).lower()
    return SPLITS.get(word[0] if word else "", "") or SPLITS.get(folder, "")


def _folder(files: Files, name: str, split: str, coco: CocoFile) -> str:
    """Return the folder in which most images of a file lie.

    Raises:
        BadFile: if none is found.
    """
    here = posixpath.dirname(name)
    stem = posixpath.splitext(posixpath.basename(name))[0].removeprefix(_PREFIX)
    inner = ["", "images", stem, f"images/{stem}", split, f"images/{split}", "JPEGImages"]
    places = [
        posixpath.normpath(posixpath.join(here, up, part)) for up in ("", "..") for part in inner
    ]
    some = [picture.file for picture in list(coco.pictures.values())[:TRIED]]
    hits = [sum(files.has(posixpath.join(place, file)) for file in some) for place in places]
    if some and not max(hits):
        raise BadFile(
            f"{files.called(name)}: found none of its images, such as {some[0]}, in "
            f"{few([files.called(place) for place in places], 4)}; say where they lie with "
            "images=FOLDER"
        )
    return places[hits.index(max(hits))]


def _classes(files: Files, read: dict[str, CocoFile]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the categories for training, by their ids, and a note on others.

    Raises:
        BadFile: if another split has boxes of categories that are not among them.
    """
    own = read["train"].names
    classes = tuple(dict.fromkeys(own[key] for key in sorted(own, key=_order)))
    notes: tuple[str, ...] = ()
    for split, coco in read.items():
        used = {coco.names[key] for key in set(coco.categories)} - set(classes)
        unused = set(coco.names.values()) - set(classes) - used
        if used:
            raise BadFile(
                f"{files.called('')}: {split} has boxes of {few(sorted(used))}, which are no "
                f"categories for training; these are {few(classes, 5) or 'none'}"
            )
        if unused:
            notes += (f"categories of {split} alone, without boxes: {few(sorted(unused))}",)
    return classes, notes


def _order(key: int | str) -> tuple[bool, int, str]:
    return isinstance(key, str), key if isinstance(key, int) else 0, str(key)


def _add(builder: Builder, split: str, coco: CocoFile, classes: Sequence[str], where: str) -> None:
    """Add the images of a file and their boxes."""
    labels = {key: list(classes).index(name) for key, name in coco.names.items() if name in classes}
    rows = {
        key: builder.image(
            posixpath.normpath(posixpath.join(where, picture.file)), split, picture.size
        )
        for key, picture in coco.pictures.items()
    }
    columns = (coco.images, coco.categories, coco.crowd, coco.areas, coco.corners.tolist())
    for image, category, crowd, area, corners in zip(*columns, strict=True):
        builder.object(rows[image], labels[category], corners, crowd=crowd, area=area)


def _spare(files: Files, where: str, coco: CocoFile) -> list[str]:
    """Return the images that lie beside those of a file, but are not named in it."""
    named = {posixpath.normpath(posixpath.join(where, p.file)) for p in coco.pictures.values()}
    folders = {posixpath.dirname(name) for name in named}
    beside = (name for name in files.under(where) if name.lower().endswith(SUFFIXES))
    return [name for name in beside if posixpath.dirname(name) in folders and name not in named]
