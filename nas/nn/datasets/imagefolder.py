"""Folders of images, one for each class, under train/ and val/ or split by seed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.errors import BadFile, NasError
from nas.nn.data import Images, Source, fingerprint_of
from nas.nn.datasets._pictures import SUFFIXES, check_options, find_bad, from_files
from nas.nn.datasets._split import split

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The folders that are taken for splits, in small or capital letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Image files, sorted, each with its label and the split it is in."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]

    @property
    def names(self) -> list[str]:
        """The files as they stand under the root."""
        return [file.relative_to(self.root).as_posix() for file in self.files]

    def take(self, rows: NDArray[np.int64]) -> "_Table":
        """Return the table of these rows."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            labels=self.labels[rows],
            splits=self.splits[rows],
        )

    def images(self, name: str) -> Images:
        """Return the images of one split."""
        part = self.take(np.flatnonzero(self.splits == name))
        names = [str(file) for file in part.files]
        return from_files(part.files.__getitem__, names, part.labels)


def create(
    *,
    path: str,
    val: float = 0.2,
    test: float = 0.0,
    max_bad: int = -1,
    check: str = "full",
    seed: int,
) -> Source:
    """Return the images under `path`, in class folders or in train/ and val/ with class folders.

    Without val/, a share `val` of every class is taken for validation; without test/, a share
    `test` for testing. Up to `max_bad` images that cannot be decoded are skipped (-1: 1 %, at
    least 10). To find them everything is decoded once; `check=header` only looks at the headers.

    Raises:
        BadFile: if there is no such folder, or it holds no classes, or too many bad images.
    """
    check_options(check, max_bad)
    root = Path(path).expanduser().absolute()  # workers may be in another folder
    table = _table(root, _split_folders(root))
    good, notes = find_bad(
        lambda index: table.files[index], table.names, check=check, max_bad=max_bad
    )
    table = _with_splits(table.take(good), val=val, test=test, seed=seed)
    return Source(
        classes=table.classes,
        train=table.images("train"),
        val=table.images("val"),
        test=table.images("test") if (table.splits == "test").any() else None,
        fingerprint=_fingerprint(table),
        notes=notes,
    )


def _split_folders(root: Path) -> Mapping[str, Path]:
    """Return the folders of the splits; where there are none, all is to be split from `root`.

    A folder called train that holds images itself is a class: there are data sets of vehicles.
    """
    folders = _folders(root)
    found = {
        split_name: folder
        for split_name, names in SPLITS.items()
        for folder in folders
        if folder.name.lower() in names and _folders(folder)
    }
    if found and "train" not in found:
        there = ", ".join(f"{folder.name}/" for folder in found.values())
        raise BadFile(f"{root}: found {there} but no train/ with folders of classes in it")
    return found or {"train": root}


def _folders(root: Path) -> list[Path]:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise BadFile(
            f"{root}: {error.strerror or error}; expected a folder with a folder for each class"
        ) from None
    return [entry for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__"))]


def _table(root: Path, folders: Mapping[str, Path]) -> _Table:
    classes = tuple(folder.name for folder in _folders(folders["train"]))
    rows = [
        (file, label, name)
        for name, folder in folders.items()
        for label, files in _by_class(folder, classes)
        for file in files
    ]
    if not classes or not rows:
        raise BadFile(f"{folders['train']}: {_nothing(folders['train'], classes)}")
    if len(classes) == 1 and (hint := _folders(folders["train"] / classes[0])):
        raise BadFile(
            f"{root}: found one class only ({classes[0]}), and in it {hint[0].name}/; "
            f"did you mean {folders['train'] / classes[0]}?"
        )
    files, labels, splits = zip(*rows, strict=True)
    return _Table(
        root=root,
        classes=classes,
        files=files,
        labels=np.array(labels, np.int64),
        splits=np.array(splits),
    )


def _by_class(folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[int, list[Path]]]:
    known = {name: label for label, name in enumerate(classes)}
    for own in _folders(folder):
        files = _images(own)
        if own.name in known:
            yield known[own.name], files
        elif files:
            raise NasError(
                f"{own}: class {own.name} has no training images; found the classes "
                f"{', '.join(classes[:5])}{' ...' if len(classes) > 5 else ''}"
            )


def _images(folder: Path) -> list[Path]:
    """Return the image files at any depth; files of other kinds and hidden ones are left."""
    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    )


def _nothing(folder: Path, classes: tuple[str, ...]) -> str:
    if classes:
        some = ", ".join(SUFFIXES[:5])
        return f"no images ({some} ...) in its {len(classes)} folders"
    loose = len([file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES])
    what = f"{loose} images, but no folders" if loose else "nothing"
    return f"found {what}; expected a folder for each class, with its images in it"


def _with_splits(table: _Table, *, val: float, test: float, seed: int) -> _Table:
    """Return the table with validation and test images, where there are none, from training."""
    there = set(table.splits)
    shares = {name: share for name, share in (("val", val), ("test", test)) if name not in there}
    rows = np.flatnonzero(table.splits == "train")
    splits = table.splits.astype("<U5")
    parts = split(table.labels[rows], tuple(shares.values()), seed=seed)
    for name, part in zip(shares, parts[1:], strict=True):
        splits[rows[part]] = name
    return replace(table, splits=splits)


def _fingerprint(table: _Table) -> str:
    facts = [
        f"{name}\0{file.stat().st_size}\0{label}\0{part}"
        for name, file, label, part in zip(
            table.names, table.files, table.labels, table.splits, strict=True
        )
    ]
    return fingerprint_of([*table.classes, *sorted(facts)])
