"""Columns of objects in tables of Hugging Face: boxes with categories, in each of two ways."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from nas.core.errors import BadFile, NasError, unknown
from nas.core.text import few, shown
from nas.training.data import Source
from nas.training.datasets._annotations import Builder
from nas.training.datasets._boxes import source_of
from nas.training.datasets._coco_json import check_boxes
from nas.training.datasets._hf_rows import column_of, images_of, open_row
from nas.training.datasets._numbers import LONGEST, number
from nas.training.datasets._table import Wanted

BOX = ("bbox", "bboxes", "box", "boxes")
CATEGORY = ("category", "categories", "label", "labels", "class", "category_id")
CROWD = ("iscrowd", "is_crowd")
SIZE = ("width", "height")
"""Names by which fields and columns are found."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The images of tables by the names "SPLIT/ROW"."""

    tables: Mapping[str, Any]
    image: str

    def open(self, name: str) -> Path | bytes:
        """Return the image of a row."""
        split, _, row = name.partition("/")
        return open_row(self.tables[split], self.image, int(row))

    def size(self, name: str) -> int:
        """Return its number of bytes."""
        file = self.open(name)
        return len(file) if isinstance(file, bytes) else file.stat().st_size

    def called(self, name: str) -> str:
        """Return how messages call a row."""
        split, _, row = name.partition("/")
        return f"row {row} of {split}" if row else "hf"


@dataclass(frozen=True, slots=True)
class Fields:
    """The column of objects, and what its fields are called; `crowd` may be ""."""

    column: str
    box: str
    category: str
    crowd: str
    kind: Any


def objects_of(features: Mapping[str, Any], wanted: str) -> Fields | None:
    """Return the column of objects: the one that is wanted, or the only one; None for none.

    Raises:
        NasError: if the one that is wanted is no such column, or there are several.
    """
    if wanted and wanted not in features:
        raise unknown("column", wanted, features)
    names = [wanted] if wanted else [str(name) for name in features]
    found = [fields for name in names if (fields := _fields(name, features[name])) is not None]
    if wanted and not found:
        raise NasError(
            f"hf: column {wanted} holds no objects; expected fields such as bbox and category"
        )
    if len(found) > 1:
        raise NasError(
            f"hf: found several columns of objects: {few([one.column for one in found])}; name one "
            "with objects=COLUMN"
        )
    return found[0] if found else None


def _fields(column: str, feature: Any) -> Fields | None:
    inner = feature if isinstance(feature, dict) else _inside(feature)
    if not isinstance(inner, dict):
        return None
    box, category, crowd = (
        next((name for name in names if name in inner), "") for names in (BOX, CATEGORY, CROWD)
    )
    kind = _inside(inner[category]) if category and feature is inner else inner.get(category)
    return Fields(column, box, category, crowd, kind) if box and category else None


def _inside(feature: Any) -> Any:
    """Return what a list holds."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return getattr(feature, "feature", None)


def boxed(
    tables: Mapping[str, Any], fields: Fields, image: str, wanted: Wanted, *, boxes: str
) -> Source:
    """Return the source of tables with a column of objects.

    Raises:
        BadFile: naming the row, if an object is something else.
    """
    rows = Rows({name: images_of(table, image, name) for name, table in tables.items()}, image)
    columns = {name: column_of(table, fields.column) for name, table in tables.items()}
    things = {
        name: [list(_things(value, fields, f"hf: row {row} of {name}"))
               for row, value in enumerate(column)]
        for name, column in columns.items()
    }  # fmt: skip
    classes, known = _classes(fields.kind, things.get("train", []))
    builder, strange = Builder.empty(), list[str]()
    for split, table in tables.items():
        for row, size in enumerate(_sizes(table)):
            at = builder.image(f"{split}/{row}", split, size)
            for category, box, crowd in things[split][row]:
                if category in known:
                    builder.object(at, known[category], box, crowd=crowd)
                else:
                    strange.append(f"{shown(category, LONGEST)} in row {row} of {split}")
    found = builder.done(classes)
    if boxes == "xywh":
        check_boxes(found.corners, found.sizes[found.owners], "hf")
        found.corners[:, 2:] += found.corners[:, :2]
    if len(strange) > len(found.labels):
        raise BadFile(f"hf: most boxes are of unknown classes: {few(strange)}")
    notes = [f"skipped boxes of unknown classes ({len(strange)}): {few(strange)}"]
    return source_of(found, rows, wanted, notes if strange else ())


def _things(value: Any, fields: Fields, place: str) -> Iterator[tuple[Any, list[float], bool]]:
    """Yield category, box and crowd of every object of a row."""
    if isinstance(value, Mapping):
        lists = [value.get(name) or [] for name in (fields.category, fields.box)]
        crowds = value.get(fields.crowd) or [False] * len(lists[0])
        if not len(lists[0]) == len(lists[1]) == len(crowds):
            raise BadFile(f"{place}: found {len(lists[1])} boxes, but {len(lists[0])} categories")
        entries = list(zip(*lists, crowds, strict=True))
    else:
        entries = [
            (entry.get(fields.category), entry.get(fields.box), entry.get(fields.crowd))
            for entry in value or []
            if entry is not None
        ]
    for category, box, crowd in entries:
        if not isinstance(box, list) or len(box) != 4:
            raise BadFile(f"{place}: expected a box of 4 numbers, found {shown(box, LONGEST)}")
        yield category, [number(one, place) for one in box], bool(crowd)


def _classes(kind: Any, things: list[Any]) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Return the names of the classes, and the number of each category as it is stored."""
    if isinstance(kind, datasets.ClassLabel):
        names = tuple(kind.names or ())
        return names, dict(zip(range(len(names)), range(len(names)), strict=True))
    values = {category for row in things for category, _, _ in row if category is not None}
    if not all(isinstance(value, int | str) for value in values):
        raise NasError("hf: the categories of objects are neither numbers nor texts")
    order = sorted(values)
    return tuple(map(str, order)), {value: label for label, value in enumerate(order)}


def _sizes(table: Any) -> list[tuple[int, int]]:
    """Return width and height of every row, 0 where no columns tell them."""
    there = all(
        isinstance(table.features.get(name), datasets.Value)
        and table.features[name].dtype.startswith(("int", "uint"))
        for name in SIZE
    )
    if not there:
        return [(0, 0)] * table.num_rows
    columns = [np.array([value or 0 for value in column_of(table, name)]) for name in SIZE]
    return [(int(width), int(height)) for width, height in zip(*columns, strict=True)]
