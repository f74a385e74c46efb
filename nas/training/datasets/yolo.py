"""YOLO: images with a text of boxes each, and a data.yaml with the classes, as folder or zip."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.core.errors import BadFile
from nas.core.text import few
from nas.training.data import Source
from nas.training.datasets._annotations import Builder
from nas.training.datasets._boxes import source_of, without_missing
from nas.training.datasets._files import Files, located
from nas.training.datasets._numbers import text_of
from nas.training.datasets._pictures import SUFFIXES, check_options
from nas.training.datasets._table import Wanted
from nas.training.datasets._yolo_text import Index, lines_of, parse_index

YAML = (".yaml", ".yml")
IMAGES, LABELS = "images", "labels"


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
    """Return the images that a data.yaml names, or the one in the folder or zip at `path`.

    It tells the `names` of the classes and, for `train`, `val` and `test`, folders of images or
    lists of files. The text of images/a.jpg is labels/a.txt, else beside it; its lines are a class
    with centre, width and height of a box, or with the points of an outline, as fractions of the
    upright image. Images without a text have no objects. Without validation images a share `val`
    is taken, `test` in the same way. Up to `max_bad` images may be missing, or not be decoded (-1:
    1 %, at least 10); `check` and `depth` are those of `imagefolder`.

    Raises:
        BadFile: if there are no such files, or one of them says something else, with its line.
    """
    check_options(check, max_bad, depth)
    files, name = located(path)
    name = name or _found(files)
    files = files.within(posixpath.dirname(name)) if posixpath.dirname(name) else files
    name = posixpath.basename(name)
    index = parse_index(files.read(name), files.called(name))
    label_files = _LabelFiles(files, index)
    for split, places in index.splits.items():
        images = [image for place in places for image in _images(files, index, place, name)]
        for image in dict.fromkeys(images):
            label_files.add(image, split)
    classes = tuple(index.names[key] for key in sorted(index.names))
    found = label_files.builder.done(classes, fractions=True)
    there = np.array([files.has(image) for image in found.names], np.bool_)
    found, missing = without_missing(found, there, files, max_bad)
    wanted = Wanted(val=val, test=test, max_bad=max_bad, check=check, depth=depth, seed=seed)
    return source_of(found, files, wanted, (*label_files.notes(), *missing))


def _found(files: Files) -> str:
    """Return the data.yaml of a folder: the one nearest to the top."""
    names = [name for name in files.under("") if name.lower().endswith(YAML)]
    named = [name for name in names if posixpath.splitext(name)[0].endswith("data")]
    top = [name for name in names if "/" not in name]
    found = sorted(named, key=lambda name: name.count("/")) or top
    if len(found) == 1 or (named and found[0].count("/") < found[1].count("/")):
        return found[0]
    there = f"found {few(found)}; name the one to be used" if found else "found no data.yaml"
    raise BadFile(
        f"{files.called('')}: {there}; expected one with names: [cat, dog] and train: images/train"
    )


def _images(files: Files, index: Index, place: str, name: str) -> list[str]:
    """Return the images that an entry of data.yaml means: those in a folder, or in a list."""
    down = place
    while down.startswith("../"):
        down = down[3:]  # some tools write ../train/images for a folder beside the file
    tried = dict.fromkeys(
        posixpath.normpath(one)
        for one in (
            posixpath.join(index.folder, place),
            place,
            posixpath.join(index.folder, down),
            down,
        )
    )
    for one in tried:
        if one.endswith(".txt") and files.has(one):
            return _listed(files, one)
        images = [image for image in files.under(one) if image.lower().endswith(SUFFIXES)]
        if images:
            return images
    raise BadFile(
        f"{files.called(name)}: found no images in {place}; looked into "
        f"{few([files.called(one) for one in tried], 4)}"
    )


def _listed(files: Files, name: str) -> list[str]:
    lines = text_of(files.read(name), files.called(name)).splitlines()
    here = posixpath.dirname(name)
    found = [
        posixpath.normpath(posixpath.join(here, line.strip())) for line in lines if line.strip()
    ]
    if not found:
        raise BadFile(f"{files.called(name)} is empty; expected the names of images")
    return found


@dataclass(slots=True)
class _LabelFiles:
    """Reads the text of one image after the other, and counts what is left out."""

    files: Files
    index: Index
    builder: Builder = field(default_factory=Builder.empty)
    texts: set[str] = field(default_factory=set)
    without: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def add(self, image: str, split: str) -> None:
        """Add an image with the boxes of its text."""
        row = self.builder.image(image, split)
        text = _text_of(self.files, image)
        if not text:
            self.without.append(image)
            return
        self.texts.add(text)
        labels = {key: label for label, key in enumerate(sorted(self.index.names))}
        place = self.files.called(text)
        for line, kind, corners in lines_of(self.files.read(text), place, points=self.index.points):
            if kind in labels:
                self.builder.object(row, labels[kind], corners)
            else:
                self.unknown.append(f"class {kind} in {text}, line {line}")

    def notes(self) -> tuple[str, ...]:
        """Return notes on what was left out.

        Raises:
            BadFile: if no image has a text, or most classes are unknown.
        """
        count, without, unknown = len(self.builder.names), self.without, self.unknown
        if len(without) == count:
            raise BadFile(
                f"{self.files.called('')}: none of its {count} images has a text of boxes; for "
                f"{without[0]} expected {_texts(without[0])[0]}"
            )
        if len(unknown) > len(self.builder.objects):
            raise BadFile(
                f"{self.files.called('')}: most boxes are of classes that names does not have: "
                f"{few(unknown)}; it has {few([str(key) for key in self.index.names], 5)}"
            )
        lonely = self._lonely()
        said = (
            ("images without a text count as empty", without),
            ("skipped boxes of unknown classes", unknown),
            ("texts without an image are not used", lonely),
        )
        return tuple(f"{what} ({len(names)}): {few(names)}" for what, names in said if names)

    def _lonely(self) -> list[str]:
        """Return the texts that lie beside those that were read, but have no image."""
        folders = {posixpath.dirname(name) for name in self.texts}
        beside = {
            name
            for folder in folders
            for name in self.files.under(folder)
            if name.endswith(".txt") and posixpath.dirname(name) in folders
        }
        lists = {"classes.txt", "train.txt", "val.txt", "test.txt"}
        return sorted(n for n in beside - self.texts if posixpath.basename(n) not in lists)


def _texts(image: str) -> Sequence[str]:
    """Return the names that the text of an image may have."""
    stem = posixpath.splitext(image)[0]
    parts = stem.split("/")
    beside = f"{stem}.txt"
    if IMAGES not in parts[:-1]:
        return (beside,)
    at = len(parts) - 1 - parts[::-1].index(IMAGES, 1)
    return "/".join([*parts[:at], LABELS, *parts[at + 1 :]]) + ".txt", beside


def _text_of(files: Files, image: str) -> str:
    return next((name for name in _texts(image) if files.has(name)), "")
