"""Read COCO's annotations: a JSON file with lists of images, of boxes and of categories."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core import strict_json
from nas.core.errors import BadFile
from nas.core.text import few, shown
from nas.training.datasets._numbers import LONGEST, number

LARGEST = 2**31
"""Bytes of a file; that of COCO's training images has 448 MB."""
BOXES = ("xywh", "xyxy")
SLACK = 1.0
LEAVING, FITTING = 0.5, 0.9
"""Shares of boxes that leave their images, and that fit when they are read as corners."""

Id = int | str

_NUMBERS = rb"[\d\s.,eE+-]*+"
_OUTLINE = re.compile(
    rb'("(?:segmentation|keypoints)"\s*:\s*)(\[%b(?:\[%b\]%b)*+\])' % ((_NUMBERS,) * 3)
)
"""The numbers of outlines and key points: most of a file, and not used. In a text, which escapes
its quotes, there is nothing like it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image: its file, and its width and height, 0 where they are not told."""

    file: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoFile:
    """What a file tells; `images` and `categories` are those of each box, all in the same order.

    `corners` have shape (m, 4), in pixels; `areas` are those of the outlines, NaN where not told.
    """

    pictures: Mapping[Id, Picture]
    names: Mapping[Id, str]
    images: list[Id]
    categories: list[Id]
    crowd: list[bool]
    corners: NDArray[np.float64]
    areas: list[float]
    notes: tuple[str, ...]


def parse(content: bytes, place: str, boxes: str) -> CocoFile:
    """Return what the JSON tells; boxes are left, top, width and height, or with "xyxy" corners.

    Raises:
        BadFile: if it is no such JSON; it names the line, or the entry.
    """
    content = _OUTLINE.sub(_newlines, content)
    try:
        data = strict_json.parse(content)
    except strict_json.Malformed as error:
        line = f", line {error.line}" if error.line else ""
        raise BadFile(f"{place}{line}: {error}") from None
    pictures = _pictures(_list(data, "images", place), place)
    names = _names(_list(data, "categories", place), place)
    entries, notes = _known(_list(data, "annotations", place), pictures, names, place)
    rows = np.array([_box(entry, f"{place}: annotations[{at}]") for at, entry in entries])
    corners = rows.reshape(-1, 4).astype(np.float64)
    if boxes == "xywh":
        sizes = np.array([pictures[entry["image_id"]].size for _, entry in entries])
        check_boxes(corners, sizes.reshape(-1, 2), place)
        corners[:, 2:] += corners[:, :2]
    return CocoFile(
        pictures=pictures,
        names=names,
        images=[entry["image_id"] for _, entry in entries],
        categories=[entry["category_id"] for _, entry in entries],
        crowd=[entry.get("iscrowd") in (1, True) for _, entry in entries],
        corners=corners,
        areas=[_area(entry) for _, entry in entries],
        notes=notes,
    )


def _newlines(outline: re.Match[bytes]) -> bytes:
    """Return an outline without numbers, of as many lines, so that those of errors stay right."""
    return outline[1] + b"0" + b"\n" * outline[2].count(b"\n")


def _list(data: Any, key: str, place: str) -> list[Mapping[str, Any]]:
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list):
        there = few(list(data), 5) if isinstance(data, dict) else type(data).__name__
        raise BadFile(f"{place}: expected a list {key}, found {there or 'nothing'}")
    for at, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise BadFile(f"{place}: {key}[{at}] is {shown(entry, LONGEST)}, no mapping")
    return found


def _id(entry: Mapping[str, Any], key: str, place: str) -> Id:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadFile(f"{place}: expected {key}, a number, found {shown(value, LONGEST)}")
    return value


def _text(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadFile(f"{place}: expected {key}, a text, found {shown(value, LONGEST)}")
    return value


def _pictures(entries: list[Mapping[str, Any]], place: str) -> dict[Id, Picture]:
    found: dict[Id, Picture] = {}
    for at, entry in enumerate(entries):
        here = f"{place}: images[{at}]"
        key = _id(entry, "id", here)
        if key in found:
            raise BadFile(f"{here} has the id {shown(key, LONGEST)} of {found[key].file}")
        name = posixpath.normpath(_text(entry, "file_name", here).replace("\\", "/"))
        width, height = (_side(entry.get(side)) for side in ("width", "height"))
        found[key] = Picture(name, (width, height))
    return found


def _side(value: Any) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if whole and 0 < value < 10**6 else 0


def _names(entries: list[Mapping[str, Any]], place: str) -> dict[Id, str]:
    found: dict[Id, str] = {}
    for at, entry in enumerate(entries):
        here = f"{place}: categories[{at}]"
        key = _id(entry, "id", here)
        if key in found:
            raise BadFile(f"{here} has the id {shown(key, LONGEST)} of {found[key]}")
        found[key] = _text(entry, "name", here)
    return found


def _known(
    entries: list[Mapping[str, Any]],
    pictures: Mapping[Id, Picture],
    names: Mapping[Id, str],
    place: str,
) -> tuple[list[tuple[int, Mapping[str, Any]]], tuple[str, ...]]:
    """Return the boxes of known images and categories, with their places, and notes on others."""
    kept, strange = [], dict[str, list[str]]()
    for at, entry in enumerate(entries):
        here = f"{place}: annotations[{at}]"
        if (image := _id(entry, "image_id", here)) not in pictures:
            strange.setdefault("images that are not listed", []).append(str(image))
        elif (category := _id(entry, "category_id", here)) not in names:
            strange.setdefault("unknown categories", []).append(str(category))
        else:
            kept.append((at, entry))
    notes = tuple(
        f"skipped boxes of {what} ({len(ids)}): {few(list(dict.fromkeys(ids)))}"
        for what, ids in strange.items()
    )
    if len(kept) < len(entries) / 2:
        raise BadFile(f"{place}: of {len(entries)} boxes {len(kept)} can be used; {notes[0]}")
    return kept, notes


def _box(entry: Mapping[str, Any], place: str) -> list[float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise BadFile(f"{place}: expected a bbox of 4 numbers, found {shown(box, LONGEST)}")
    return [number(value, f"{place}.bbox") for value in box]


def _area(entry: Mapping[str, Any]) -> float:
    """Return the area that an entry tells, NaN where that is no positive number."""
    area = entry.get("area")
    known = isinstance(area, int | float) and not isinstance(area, bool) and 0 < area < inf
    return float(area) if known else nan  # type: ignore[arg-type]


def check_boxes(boxes: NDArray[np.float64], sizes: NDArray[np.int64], place: str) -> None:
    """Refuse boxes that are left, top, right and bottom, by what they would be otherwise."""
    told = (sizes > 0).all(1)
    boxes, sizes = boxes[told], sizes[told]
    leaving = (boxes[:, :2] + boxes[:, 2:] > sizes + SLACK).any(1)
    fitting = ((boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= sizes + SLACK)).all(1)
    if leaving.sum() > LEAVING * len(boxes) and fitting.sum() > FITTING * len(boxes):
        raise BadFile(
            f"{place}: {int(leaving.sum())} of {len(boxes)} boxes leave their images when they are "
            "read as left, top, width and height; they seem to be left, top, right and bottom: "
            "say so with boxes=xyxy"
        )
