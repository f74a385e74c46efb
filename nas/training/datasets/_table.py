"""A table of image files, each with its label and split, and the source that it makes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.training.data import Images, Source, fingerprint_of
from nas.training.datasets._depth import White, decide
from nas.training.datasets._pictures import find_bad, from_files
from nas.training.datasets._split import split
from nas.training.objects import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Image files, each with the name that it goes by, its label, and "train", "val" or "test"."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return the table of these rows."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            labels=self.labels[rows],
            splits=self.splits[rows],
        )

    def images(self, name: str, white: White) -> Images:
        """Return the images of one split."""
        part = self.take(np.flatnonzero(self.splits == name))
        names = [str(file) for file in part.files]
        return from_files(part.files.__getitem__, names, part.labels, white)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user wants of a table: shares for missing splits, and how images are checked."""

    val: float
    test: float
    max_bad: int
    check: str
    depth: int
    seed: int


def source_of(table: Table, wanted: Wanted, notes: Sequence[str] = ()) -> Source:
    """Return the source of those images in `table` that can be decoded.

    Raises:
        BadFile: if too many cannot be.
    """
    checked = find_bad(
        table.files.__getitem__, table.names, check=wanted.check, max_bad=wanted.max_bad
    )
    white, said = decide(checked.largest, wanted.depth)
    table = table.take(checked.good)
    table = replace(table, splits=with_splits(table.splits, table.labels, wanted))
    facts = [f"white {white}"] if white != White() else []
    return Source(
        classes=table.classes,
        train=table.images("train", white),
        val=table.images("val", white),
        test=table.images("test", white) if (table.splits == "test").any() else None,
        fingerprint=_fingerprint(table, facts),
        notes=(*notes, *checked.notes, *said),
    )


def with_splits(splits: NDArray[np.str_], labels: Labels, wanted: Wanted) -> NDArray[np.str_]:
    """Return the splits of images, those that are missing taken from the images for training."""
    there = set(splits)
    shares = {
        name: share
        for name, share in (("val", wanted.val), ("test", wanted.test))
        if name not in there
    }
    rows = np.flatnonzero(splits == "train")
    result = splits.astype("<U5")
    parts = split(labels[rows], tuple(shares.values()), seed=wanted.seed)
    for name, part in zip(shares, parts[1:], strict=True):
        result[rows[part]] = name
    return result


def _fingerprint(table: Table, facts: Sequence[str]) -> str:
    lines = [
        f"{name}\0{file.stat().st_size}\0{label}\0{part}"
        for name, file, label, part in zip(
            table.names, table.files, table.labels, table.splits, strict=True
        )
    ]
    return fingerprint_of([*table.classes, *sorted(lines), *facts])
