"""Read labels of YOLO: a text for each image, with a class and a box or an outline in each line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.core import strict_yaml
from nas.core.errors import BadFile
from nas.core.strict_json import Malformed
from nas.core.text import few, shown
from nas.training.datasets._labels import SPLITS
from nas.training.datasets._numbers import LONGEST, number, text_of

BOX = 5
"""Fields of a line with a box: class, centre, width and height."""
MIN_OUTLINE = 7
"""Fields of a line with an outline of three points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What data.yaml tells: names by class number, where the images of each split are, the folder.

    With `points`, lines have key points after their boxes.
    """

    names: Mapping[int, str]
    splits: Mapping[str, tuple[str, ...]]
    folder: str
    points: bool


def parse_index(content: bytes, place: str) -> Index:
    """Return what a data.yaml tells.

    Raises:
        BadFile: if it has no names of classes, or no training images.
    """
    try:
        data = strict_yaml.parse(text_of(content, place))
    except Malformed as error:
        line = f", line {error.line}" if error.line else ""
        raise BadFile(f"{place}{line}: {error}") from None
    if not isinstance(data, dict):
        raise BadFile(f"{place}: expected a mapping with names and train, found {shown(data)}")
    splits: dict[str, tuple[str, ...]] = {}
    for key, value in data.items():
        split = SPLITS.get(str(key).lower())
        if split and value is not None:
            splits[split] = _paths(value, f"{place}: {key}")
    if "train" not in splits:
        raise BadFile(f"{place} has no train; expected train: images/train")
    folder = data.get("path")
    return Index(
        names=_names(data, place),
        splits=splits,
        folder=folder if isinstance(folder, str) else "",
        points="kpt_shape" in data,
    )


def _paths(value: Any, place: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, str) or not one or "\0" in one:
            raise BadFile(f"{place}: expected a folder or a list of files, found {shown(one)}")
    return tuple(str(one) for one in values)


def _names(data: Mapping[Any, Any], place: str) -> dict[int, str]:
    names = data.get("names")
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(pairs, dict) or not pairs:
        raise BadFile(f"{place} has no names of classes; expected names: [cat, dog]")
    found: dict[int, str] = {}
    for key, name in pairs.items():
        digits = str(key)
        if not digits.isascii() or not digits.isdigit() or len(digits) > 6:
            raise BadFile(f"{place}: names has the key {shown(key)}; expected class numbers")
        if isinstance(name, bool):
            raise BadFile(f"{place}: class {key} is read as {name}; put its name in quotes")
        if isinstance(name, list | dict) or name is None:
            raise BadFile(f"{place}: class {key} is {shown(name, LONGEST)}; expected its name")
        found[int(digits)] = str(name)
    twice = [name for name in found.values() if list(found.values()).count(name) > 1]
    if twice:
        raise BadFile(f"{place}: names has {shown(twice[0], LONGEST)} twice")
    count = data.get("nc")
    if isinstance(count, int) and count != len(found):
        raise BadFile(
            f"{place}: nc is {count}, but there are {len(found)} names: {few([*found.values()])}"
        )
    return found


def lines_of(
    content: bytes, place: str, *, points: bool = False
) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """Yield number, class and corners of every line; corners are fractions of the image.

    An outline becomes the box around it.

    Raises:
        BadFile: if a line is something else; it names the line.
    """
    for at, line in enumerate(text_of(content, place).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        here = f"{place}, line {at}"
        values = [number(field, here) for field in fields]
        if values[0] != int(values[0]) or not 0 <= values[0] < 10**6:
            raise BadFile(f"{here}: expected a class number, found {shown(fields[0], LONGEST)}")
        yield at, int(values[0]), _corners(values[1:BOX] if points else values[1:], here)


def _corners(values: list[float], here: str) -> tuple[float, ...]:
    if len(values) == BOX - 1:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < MIN_OUTLINE - 1 or len(values) % 2:
        raise BadFile(
            f"{here}: found {len(values) + 1} fields; expected a class and centre, width and "
            "height, or the points of an outline"
        )
    across, down = values[0::2], values[1::2]
    return min(across), min(down), max(across), max(down)
