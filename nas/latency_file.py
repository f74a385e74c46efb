"""Read and write latency tables as YAML, strictly."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from nas.data import SCHEMA, check_keys, find, read_mapping, to_yaml, write_text
from nas.errors import BadFile, unknown
from nas.latency import Entry, Era, LatencyTable, Spread, TableError
from nas.operators import COUNTS, EXTENTS, OpModel

_TEXTS = ("name", "device", "core", "dtype")
_REQUIRED = (
    "schema", *_TEXTS, "threads", "sources", "weak", "default_era", "eras", "error", "spread"
)  # fmt: skip
_KNOWN = (*_REQUIRED, "overhead_ms", "model", "entries")
_MODEL = ("coefficients", "assumed", "ranges", "resolution")
_ERA = ("runtime", "factor", "coefficients")


def load_table(name: str | Path, *, era: str | int | None = None) -> LatencyTable:
    """Return a bundled latency table, or one from a YAML or JSON file, in one of its eras.

    Example:
        >>> load_table("pixel1", era="2018").era
        '2018'

    Raises:
        UnknownName: if there is no such table, or it has no such era; the closest are named.
        BadFile: if the file is malformed; file, line where known, and key are named.
    """
    path = find("latency table", name, where="latency_tables")
    data = read_mapping(path)
    check_keys(data, known=_KNOWN, required=_REQUIRED, place=str(path))
    return _table(_Reader(path), data, None if era is None else str(era))


def write_table(table: LatencyTable, path: Path, *, heading: str = "") -> None:
    """Write `table` to `path` atomically; `load_table` gives an equal one back.

    The era in force becomes the default era. `heading` becomes a comment at the top.
    """
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    write_text(path, comment + to_yaml(table_mapping(table)))


def table_mapping(table: LatencyTable) -> dict[str, Any]:
    """Return `table` as what its file holds, `schema` first."""
    content: dict[str, Any] = {"schema": SCHEMA}
    content |= {key: getattr(table, key) for key in (*_TEXTS, "threads")}
    content |= {"sources": list(table.sources), "weak": list(table.weak)}
    content |= {
        "default_era": table.era,
        "eras": {name: _era_mapping(era) for name, era in table.eras.items()},
        "error": asdict(table.error),
        "spread": asdict(table.spread),
        "overhead_ms": table.overhead_ms,
    }
    if table.model:
        content["model"] = {
            "coefficients": dict(table.model.coefficients),
            "assumed": dict(table.model.assumed),
            "ranges": {name: list(bounds) for name, bounds in table.model.ranges.items()},
            "resolution": list(table.model.resolution),
        }
    if table.entries:
        content["entries"] = {key: asdict(entry) for key, entry in table.entries.items()}
    return content


def _era_mapping(era: Era) -> dict[str, Any]:
    return {
        "runtime": era.runtime,
        "factor": era.factor,
        "coefficients": dict(era.coefficients),
    }


class _Reader:
    """Checks values of one file and says where a bad one stands."""

    def __init__(self, path: Path) -> None:
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
            line = getattr(data, "lines", {}).get(key)
            place = f"{self.path}, line {line}, {key}" if line else f"{self.path}, {key}"
            check_keys(value, known=keys, required=keys, place=place)
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

    def record(self, data: Mapping[str, Any], key: str, kind: type) -> dict[str, Any]:
        """Return the fields of a flat record, checked by their annotated types."""
        value = self.mapping(data, key, tuple(f.name for f in fields(kind)))
        read: dict[Any, Callable[[Mapping[str, Any], str], Any]] = {
            str: self.text, int: self.whole, float: self.number
        }  # fmt: skip
        return {f.name: read[f.type](value, f.name) for f in fields(kind)}


def _table(read: _Reader, data: Mapping[str, Any], era: str | None) -> LatencyTable:
    chosen = era if era is not None else read.text(data, "default_era")
    eras = read.mapping(data, "eras")
    model = _model(read, read.mapping(data, "model", _MODEL)) if "model" in data else None
    if chosen not in eras:
        raise unknown(f"era of latency table {read.text(data, 'name')!r}", chosen, eras)
    table = LatencyTable(
        **{key: read.text(data, key) for key in _TEXTS},
        threads=read.whole(data, "threads"),
        sources=read.texts(data, "sources"),
        weak=read.texts(data, "weak"),
        era=chosen,
        eras={name: _era(read, read.mapping(eras, name, _ERA)) for name in eras},
        error=TableError(**read.record(data, "error", TableError)),
        spread=Spread(**read.record(data, "spread", Spread)),
        overhead_ms=read.number(data, "overhead_ms") if "overhead_ms" in data else 0.0,
        entries=_entries(read, data),
        model=model,
    )
    _check_complete(table, read.path)
    return table


def _check_complete(table: LatencyTable, path: Path) -> None:
    """Refuse a model without a coefficient for every count: it would count a silent zero."""
    if table.model is None:
        if not table.entries:
            raise BadFile(f"{path}: needs entries or a model")
        return
    for name, era in table.eras.items():
        missing = set(COUNTS) - set(table.model.coefficients) - set(era.coefficients)
        if missing:
            raise BadFile(f"{path}: era {name} lacks coefficients for {', '.join(sorted(missing))}")


def _era(read: _Reader, data: Mapping[str, Any]) -> Era:
    return Era(
        runtime=read.text(data, "runtime"),
        factor=read.number(data, "factor"),
        coefficients=_coefficients(read, data),
    )


def _coefficients(read: _Reader, data: Mapping[str, Any]) -> dict[str, float]:
    values = read.mapping(data, "coefficients")
    check_keys(values, known=COUNTS, required=(), place=f"{read.path}, coefficients")
    return {name: read.number(values, name) for name in values}


def _model(read: _Reader, data: Mapping[str, Any]) -> OpModel:
    assumed, ranges = read.mapping(data, "assumed"), read.mapping(data, "ranges", EXTENTS)
    check_keys(assumed, known=COUNTS, required=(), place=f"{read.path}, assumed")
    return OpModel(
        coefficients=_coefficients(read, data),
        assumed={name: read.text(assumed, name) for name in assumed},
        ranges={name: read.bounds(ranges, name) for name in ranges},
        resolution=read.bounds(data, "resolution"),
    )


def _entries(read: _Reader, data: Mapping[str, Any]) -> dict[str, Entry]:
    if "entries" not in data:
        return {}
    entries = read.mapping(data, "entries")
    rows = {key: read.mapping(entries, key, ("ms",)) for key in entries}
    return {key: Entry(ms=read.number(row, "ms")) for key, row in rows.items()}
