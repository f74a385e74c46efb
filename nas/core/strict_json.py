"""Read and write JSON strictly: all JSON of this package goes through here.

This module needs only the standard library, so that it runs on the devices that are measured.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from math import isfinite
from typing import Any

from nas.core.text import shown

DEEPEST = 64
"""The most levels of lists and mappings, far below Python's recursion limit."""
MAX_DIGITS = 100
"""The most digits of a whole number; Python itself rejects several thousand."""

_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


class Malformed(ValueError):
    """Text that is not valid JSON or YAML; `line` is counted from 1, None if unknown."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        """Store the problem and its line."""
        super().__init__(problem)
        self.line = line


def parse(text: str | bytes, *, constants: bool = False) -> Any:
    """Return the value of a JSON text.

    Rejected are duplicate keys, numbers of more than `MAX_DIGITS` digits or beyond the range of a
    float, lone surrogates, and more than `DEEPEST` levels; and unless `constants` are allowed, NaN
    and Infinity, which are not valid JSON.

    Raises:
        Malformed: with the problem, and its line if known.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        _check_depth(text)
        found = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_int=_whole,
            parse_float=partial(_number, constants=constants),
            parse_constant=float if constants else _no_constant,
        )
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise Malformed(error.msg, error.lineno) from None
    except UnicodeDecodeError as error:
        raise Malformed(f"is not UTF-8 text at byte {error.start}") from None
    except UnicodeEncodeError:
        raise Malformed("holds half a character (a lone surrogate)") from None
    return found


def dumps(content: Any, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """Return `content` as JSON, without `indent` on one line without spaces.

    NaN and infinities, which JSON lacks, become null.
    """
    write = partial(
        json.dumps,
        indent=indent,
        ensure_ascii=ascii_only,
        allow_nan=False,
        separators=None if indent else (",", ":"),
    )
    try:
        return write(content)
    except ValueError:
        return write(_finite(content))


def _finite(value: Any) -> Any:
    """Return `value` with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _check_depth(text: str) -> None:
    """Reject deep nesting before a recursive parser sees it."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    brackets = _NO_BRACKET.sub("", _TEXT.sub("", text))
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEEPEST:
        raise Malformed(f"is nested deeper than {DEEPEST} levels")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add gives None
        raise Malformed(f"key {shown(twin)} is given twice")
    return result


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Malformed(f"has a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str, *, constants: bool) -> float:
    value = float(digits)
    if not constants and not isfinite(value):
        raise Malformed(f"{shown(digits)} is beyond the range of numbers")
    return value


def _no_constant(name: str) -> float:
    raise Malformed(f"{name} is not JSON")
