"""Read a CSV of labels into a table, strictly: whatever is wrong is refused with its line."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.core.errors import BadFile, BadValue, unknown
from nas.core.text import few, printable, shown
from nas.training.datasets._pictures import most_bad
from nas.training.datasets._table import Table

DELIMITERS = (",", ";", "|", "\t")
USUAL = {
    "image": ("image", "images", "img", "file", "filename", "file_name", "filepath", "file_path",
              "image_path", "image_file", "path"),
    "label": ("label", "labels", "class", "class_name", "label_name", "category", "target"),
    "split": ("split", "subset", "set", "partition", "fold"),
}  # fmt: skip
"""Names by which columns are found, in small or capital letters."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns hold what; "" for those with a usual name. `delimiter` "" is to be found."""

    image: str
    label: str
    split: str
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Row:
    """What a line says of an image."""

    line: int
    image: str
    label: str
    split: str


def read_labels(
    path: Path, columns: Columns, *, folder: Path, max_bad: int
) -> tuple[Table, tuple[str, ...]]:
    """Return the images that a CSV names, and notes on those that are not used.

    Raises:
        BadFile: if it cannot be read, or a line is wrong; it names the line.
    """
    rows, twice = _without_repeats(path, list(_rows(path, columns)))
    if not rows:
        raise BadFile(f"{path}: there are no images in it, but only names of columns")
    rows, missing = _without_missing(path, rows, folder=folder, max_bad=max_bad)
    classes = _classes(path, rows)
    known = {name: number for number, name in enumerate(classes)}
    table = Table(
        classes=classes,
        files=tuple(folder / row.image for row in rows),
        names=tuple(row.image for row in rows),
        labels=np.array([known[row.label] for row in rows], np.int64),
        splits=np.array([row.split for row in rows]),
    )
    return table, (*twice, *missing)


def _rows(path: Path, columns: Columns) -> Iterator[_Row]:
    text = _text(path)
    delimiter = _delimiter(path, columns.delimiter, text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        found = {what: _column(path, names, what, getattr(columns, what)) for what in USUAL}
        for cells in reader:
            if cells:
                yield _row(f"{path}, line {reader.line_num}", cells, names, found, reader.line_num)
    except csv.Error as error:
        raise BadFile(f"{path}, line {reader.line_num}: {error}") from None


def _text(path: Path) -> str:
    if path.is_dir():
        raise BadFile(
            f"{path} is a folder; expected a CSV file, as in csv:{path}/labels.csv, or classes in "
            f"folders, as in imagefolder:{path}"
        )
    if path.exists() and not path.is_file():
        raise BadFile(f"{path} is no file")
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadFile(f"{path}, line {line}: this is no text in UTF-8") from None


def _delimiter(path: Path, told: str, header: str) -> str:
    if told:
        if len(told) != 1 and told != "tab":
            raise BadValue(f"delimiter must be one character, or tab, not {shown(told)}")
        return "\t" if told == "tab" else told
    found = [one for one in DELIMITERS if one in header]
    if len(found) != 1:
        what = "several of" if found else "none of"
        raise BadFile(
            f"{path}, line 1: found {what} , ; | and tab between the names of columns in "
            f"{shown(header.strip(), _LONGEST)}; say which it is: delimiter=tab"
        )
    return found[0]


def _column(path: Path, names: Sequence[str], what: str, told: str) -> int | None:
    """Return the number of a column; None for a split that there is none of."""
    place = f"{path}, line 1"
    if told and told not in names:
        raise BadFile(f"{place}: {unknown('column', told, names)}")
    if told:
        wanted = [number for number, name in enumerate(names) if name == told]
    else:
        wanted = [number for number, name in enumerate(names) if name.lower() in USUAL[what]]
    if len(wanted) == 1:
        return wanted[0]
    if not wanted and what == "split":
        return None
    found = "several columns" if wanted else "no column"
    there = ", ".join(printable(name, _LONGEST) for name in names[:8])
    raise BadFile(
        f"{place}: found {found} for the {what} among {there}; say which it is: {what}=COLUMN"
    )


def _row(
    place: str, cells: list[str], names: Sequence[str], found: dict[str, int | None], line: int
) -> _Row:
    if len(cells) != len(names):
        raise BadFile(f"{place}: found {len(cells)} fields, expected {len(names)}")
    image, label, split = (
        "" if number is None else cells[number].strip() for number in found.values()
    )
    for what, value in (("image", image), ("label", label)):
        if not value:
            raise BadFile(f"{place}: the {what} is missing")
    if "\0" in image:
        raise BadFile(f"{place}: {shown(image, _LONGEST)} is no name of a file")
    if found["split"] is None:
        split = "train"
    if split.lower() not in SPLITS:
        raise BadFile(
            f"{place}: the split is {shown(split, _LONGEST)}; expected train, val or test"
        )
    return _Row(line, image, label, SPLITS[split.lower()])


def _without_repeats(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], tuple[str, ...]]:
    """Return each image once; refuse two lines that contradict each other."""
    first: dict[str, _Row] = {}
    for row in rows:
        before = first.setdefault(row.image, row)
        if (before.label, before.split) != (row.label, row.split):
            raise BadFile(
                f"{path}, line {row.line}: {printable(row.image, _LONGEST)} is "
                f"{shown(row.label, _LONGEST)} in {row.split} here, and "
                f"{shown(before.label, _LONGEST)} in {before.split} in line {before.line}"
            )
    more = len(rows) - len(first)
    return list(first.values()), (f"skipped lines that repeat another ({more})",) if more else ()


def _without_missing(
    path: Path, rows: Sequence[_Row], *, folder: Path, max_bad: int
) -> tuple[list[_Row], tuple[str, ...]]:
    """Return the rows whose images are there; too many that are not are refused."""
    missing = {row.line for row in rows if not _is_there(folder / row.image)}
    if not missing:
        return list(rows), ()
    limit = most_bad(len(rows), max_bad)
    gone = [row for row in rows if row.line in missing]
    said = few([f"{printable(row.image, _LONGEST)} (line {row.line})" for row in gone])
    if len(missing) > limit or len(missing) == len(rows):
        raise BadFile(
            f"{path}: {len(missing)} of {len(rows)} images are not in {folder}: {said}; max_bad "
            f"allows {limit}. Say where they lie with root=FOLDER, or raise max_bad"
        )
    return [row for row in rows if row.line not in missing], (
        f"skipped images that are missing ({len(missing)}): {said}",
    )


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # of a name that no file can have
        return False


def _classes(path: Path, rows: Sequence[_Row]) -> tuple[str, ...]:
    """Return the labels in order, numbers by their size.

    Raises:
        BadFile: if nothing is a training image, or no two images share a label.
    """
    labels = {row.label for row in rows}
    if len(labels) == len(rows) > 2:
        raise BadFile(
            f"{path}: each of its {len(rows)} images has a label of its own, such as "
            f"{shown(rows[0].label, _LONGEST)}; is it the column of classes? Else: label=COLUMN"
        )
    if not any(row.split == "train" for row in rows):
        raise BadFile(f"{path}: no line is for training; expected train in the column of splits")
    whole = all(label.isascii() and label.isdigit() and len(label) < 10 for label in labels)
    return tuple(sorted(labels, key=(lambda text: (int(text), text)) if whole else None))
