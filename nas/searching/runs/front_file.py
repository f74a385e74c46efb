"""Read `pareto.csv` of a run folder, with the types of its values."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas.core.errors import RunError
from nas.core.files import read_text

Row = Mapping[str, Any]
"""A solution of a front: what is empty is None; choices stand behind the metrics."""

_WHOLE = ("trial", "macs", "params")
_TEXTS = ("name", "fingerprint")
_WORDS: Mapping[str, Any] = {"": None, "True": True, "False": False}


def read_rows(path: Path) -> tuple[Row, ...]:
    """Return the rows of the file, in their order.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        found = list(csv.DictReader(io.StringIO(read_text(path)), strict=True))
        return tuple({name: _typed(name, text) for name, text in row.items()} for row in found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read, or is damaged: {error}") from None


def _typed(name: str, text: str) -> Any:
    if name in _WHOLE:
        return int(text)
    if name.endswith("_ms"):
        return float(text)
    if name in _TEXTS or text in _WORDS:
        return _WORDS.get(text, text)
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
