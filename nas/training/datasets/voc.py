"""Pascal VOC: images with boxes in an XML file each, in a folder or a zip."""

import posixpath
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile
from nas.core.text import few
from nas.training.data import Source
from nas.training.datasets._annotations import Annotations, Builder
from nas.training.datasets._boxes import source_of, without_missing
from nas.training.datasets._files import Files, first_with, located
from nas.training.datasets._labels import SPLITS
from nas.training.datasets._numbers import text_of
from nas.training.datasets._pictures import SUFFIXES, check_options
from nas.training.datasets._table import Wanted
from nas.training.datasets._voc_xml import LARGEST, VocFile, parse

Flags = NDArray[np.bool_]
IMAGES, PAGES, LISTS = "JPEGImages", "Annotations", "ImageSets/Main"


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    val: float = 0.2,
    test: float = 0.0,
    max_bad: int = -1,
    check: str = "full",
    depth: int = 0,
    seed: int,
) -> Source:
    """Return the images of Annotations/ and JPEGImages/ in `path`, a folder or a zip.

    ImageSets/Main tells the splits by train.txt, val.txt (or trainval.txt) and test.txt; without
    it all images are for training. Without Annotations/, XML files lie beside their images, maybe
    in train/, valid/ and test/. Without validation images a share `val` is taken, `test` in the
    same way. Coordinates are taken as they are given. Objects marked as difficult are neither
    learned nor counted as missed. Up to `max_bad` images may be missing, or not be decoded (-1:
    1 %, at least 10); `check` and `depth` are those of `imagefolder`.

    Raises:
        BadFile: if there are no such files, or one of them says something else, with its line.
    """
    check_options(check, max_bad, depth)
    files, name = located(path)
    if name:
        raise BadFile(f"{files.called(name)}: expected a folder with {PAGES}/, or a zip of it")
    wanted = Wanted(val=val, test=test, max_bad=max_bad, check=check, depth=depth, seed=seed)
    top = first_with(files, (PAGES,))
    files = files.within(top) if top else files
    found, there, notes = _annotations(files)
    found, missing = without_missing(found, there, files, max_bad)
    return source_of(found, files, wanted, (*notes, *missing))


def _annotations(files: Files) -> tuple[Annotations, Flags, tuple[str, ...]]:
    """Return all images with an annotation, which of them are there, and notes on the others."""
    apart = bool(files.under(PAGES))
    pages = _by_key(files, PAGES if apart else "", (".xml",))
    images = _by_key(files, IMAGES if apart else "", SUFFIXES)
    if not pages:
        raise BadFile(
            f"{files.called('')}: found no XML files of annotations; expected {PAGES}/ and "
            f"{IMAGES}/, or XML files beside their images"
        )
    splits = _listed(files) or {key: _split(key) for key in pages}
    unread = [key for key in splits if key not in pages]
    read = {key: _voc_file(files, pages[key]) for key in splits if key in pages}
    if not read:
        raise BadFile(f"{files.called('')}: no listed image has an annotation: {few(unread)}")
    spare = [images[key] for key in images if key not in pages and key not in splits]
    found, there = _built(_classes(files, read, splits), read, splits, images)
    return found, there, tuple(_left_out(unread, spare))


def _voc_file(files: Files, name: str) -> VocFile:
    return parse(files.read(name, LARGEST), files.called(name))


def _built(
    classes: tuple[str, ...],
    read: Mapping[str, VocFile],
    splits: Mapping[str, list[str]],
    images: Mapping[str, str],
) -> tuple[Annotations, Flags]:
    builder = Builder.empty()
    known = {name: label for label, name in enumerate(classes)}
    rows = [(key, page, split) for key, page in read.items() for split in splits[key]]
    for key, page, split in rows:
        number = builder.image(images.get(key) or page.file or key, split, page.size)
        for thing in page.things:
            builder.object(number, known[thing.name], thing.corners, crowd=thing.difficult)
    return builder.done(classes), np.array([key in images for key, _, _ in rows])


def _by_key(files: Files, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the files with some suffixes by what images share with their annotations."""
    names = [name for name in files.under(folder) if name.lower().endswith(suffixes)]
    return {_key(name, folder): name for name in names}


def _key(name: str, folder: str) -> str:
    """Return the name of a file below `folder`, without its suffix."""
    return posixpath.splitext(posixpath.relpath(name, folder) if folder else name)[0]


def _split(key: str) -> list[str]:
    """Return the split that the first folder of a name tells."""
    return [SPLITS.get(key.partition("/")[0].lower(), "train") if "/" in key else "train"]


def _listed(files: Files) -> dict[str, list[str]]:
    """Return the splits of every image that the lists tell; nothing if there are no lists."""
    lists = {
        split: f"{LISTS}/{split}.txt"
        for split in ("train", "val", "trainval", "test")
        if files.has(f"{LISTS}/{split}.txt")
    }
    wanted = {split: name for split, name in lists.items() if split != "trainval"}
    if "trainval" in lists and not {"train", "val"} <= set(lists):
        wanted = {"train": lists["trainval"], **{k: v for k, v in wanted.items() if k == "test"}}
    if wanted and "train" not in wanted:
        raise BadFile(f"{files.called(LISTS)}: found {few(sorted(lists))} but no train.txt")
    splits: dict[str, list[str]] = {}
    for split, name in wanted.items():
        lines = text_of(files.read(name), files.called(name)).splitlines()
        for key in dict.fromkeys(line.split()[0] for line in lines if line.strip()):
            splits.setdefault(key, []).append(split)
    return splits


def _classes(
    files: Files, read: Mapping[str, VocFile], splits: Mapping[str, list[str]]
) -> tuple[str, ...]:
    """Return the classes of the training images, sorted; refuse those of other images alone."""
    by_split: dict[str, set[str]] = {}
    for key, page in read.items():
        for split in splits[key]:
            by_split.setdefault(split, set()).update(thing.name for thing in page.things)
    classes = tuple(sorted(by_split.get("train", ())))
    for split, names in by_split.items():
        other = sorted(names - set(classes))
        if other:
            raise BadFile(
                f"{files.called('')}: {split} has objects of {few(other)}, of which there are none "
                f"for training; found the classes {few(classes, 5) or 'none'}"
            )
    return classes


def _left_out(unread: list[str], spare: list[str]) -> list[str]:
    notes = []
    if unread:
        notes.append(f"skipped images without annotation ({len(unread)}): {few(unread)}")
    if spare:
        notes.append(f"images without an XML file are not used ({len(spare)}): {few(spare)}")
    return notes
