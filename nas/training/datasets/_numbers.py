"""Numbers and lines of annotation files, refused with their place where they are none."""

from math import isfinite
from typing import Any

from nas.core.errors import BadFile
from nas.core.text import shown

LONGEST = 60


def number(value: Any, place: str) -> float:
    """Return a text or a number as a finite number.

    Raises:
        BadFile: naming the place, if it is none.
    """
    try:
        found = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise BadFile(f"{place}: expected a number, found {shown(value, LONGEST)}")
    return found


def text_of(content: bytes, place: str) -> str:
    """Return the content of a file as text.

    Raises:
        BadFile: naming the line, if it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadFile(f"{place}, line {line}: this is no text in UTF-8") from None
