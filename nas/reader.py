"""Check the values of a file as they are read, and say where a bad one stands."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from nas.data import check_keys
from nas.errors import BadFile


class Reader:
    """Checks values of one file and says where a bad one stands."""

    def __init__(self, path: Path) -> None:
        """Check values of the file at `path`."""
        self.path = path

    def bad(self, data: Mapping[str, Any], key: Any, expected: str) -> BadFile:
        """Return the error for the value of `key` in `data`."""
        line = getattr(data, "lines", {}).get(key)
        where = f"{self.path}, line {line}" if line else str(self.path)
        return BadFile(f"{where}: {key} must be {expected}, not {data[key]!r}")

    def mapping(
        self, data: Mapping[str, Any], key: str, keys: tuple[str, ...] | None = None
    ) -> Mapping[str, Any]:
        """Return a mapping, with exactly `keys` where they are given."""
        value = data[key]
        if not isinstance(value, Mapping):
            raise self.bad(data, key, "a mapping")
        if keys is not None:
            check_keys(value, known=keys, required=keys, place=f"{self.path}, {key}")
        return value

    def text(self, data: Mapping[str, Any], key: str) -> str:
        """Return a text."""
        if not isinstance(data[key], str):
            raise self.bad(data, key, "a text")
        return str(data[key])

    def texts(self, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = data[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.bad(data, key, "a list of texts")
        return tuple(value)

    def number(self, data: Mapping[str, Any], key: str) -> float:
        """Return a finite number >= 0."""
        value = data[key]
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            raise self.bad(data, key, "a number >= 0")
        return float(value)

    def signed(self, data: Mapping[str, Any], key: str) -> float:
        """Return a finite number."""
        value = data[key]
        if type(value) not in (int, float) or not -float("inf") < value < float("inf"):
            raise self.bad(data, key, "a number")
        return float(value)

    def wholes(self, data: Mapping[str, Any], key: str) -> tuple[int, ...]:
        """Return a list of whole numbers >= 0."""
        value = data[key]
        if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
            raise self.bad(data, key, "a list of whole numbers >= 0")
        return tuple(value)

    def numbers(self, data: Mapping[str, Any], key: str) -> dict[str, float]:
        """Return a mapping of finite numbers >= 0."""
        values = self.mapping(data, key)
        return {name: self.number(values, name) for name in values}

    def whole(self, data: Mapping[str, Any], key: str) -> int:
        """Return a whole number >= 0."""
        if type(data[key]) is not int or data[key] < 0:
            raise self.bad(data, key, "a whole number >= 0")
        return int(data[key])

    def bounds(self, data: Mapping[str, Any], key: str) -> tuple[int, int]:
        """Return two whole numbers in order."""
        value = data[key]
        if (
            not isinstance(value, list)
            or [type(item) for item in value] != [int, int]
            or not 0 <= value[0] <= value[1]
        ):
            raise self.bad(data, key, "two whole numbers, the least and the largest")
        return (value[0], value[1])

    def record(
        self, data: Mapping[str, Any], key: str, kind: type, *, without: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the fields of a record, checked by their annotated types, but those of `without`.

        A field with a default may be missing.
        """
        known = [f for f in fields(kind) if f.init]
        value = self.mapping(data, key)
        required = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
        names = [f.name for f in known]
        check_keys(value, known=names, required=required, place=f"{self.path}, {key}")
        read: dict[Any, Callable[[Mapping[str, Any], str], Any]] = {
            str: self.text, int: self.whole, float: self.number, float | None: self.number,
            tuple[str, ...]: self.texts, tuple[int, ...]: self.wholes,
            Mapping[str, float]: self.numbers,
        }  # fmt: skip
        return {
            f.name: read[f.type](value, f.name)
            for f in known
            if f.name not in without and f.name in value
        }
