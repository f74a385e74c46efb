"""Read and write latency tables as YAML or JSON, strictly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nas.core.data import find, read_mapping, to_json, to_yaml
from nas.core.errors import BadValue, unknown
from nas.core.files import write_text
from nas.core.schema import SCHEMA, Coefficient, Milliseconds, Reader, Signed
from nas.latency.correction import FEATURES, Correction
from nas.latency.eras import earlier_fingerprint, split_era, table_of_era, without_eras
from nas.latency.predictor import COUNTS, EXTENTS, FINER, OpModel
from nas.latency.provenance import Provenance, Validation
from nas.latency.table import Entry, LatencyTable, Spread, TableError

_TEXTS = ("name", "device", "core", "runtime", "dtype")


def load_table(name: str | Path, *, era: str | int | None = None) -> LatencyTable:
    """Return a bundled latency table, or one from a YAML or JSON file.

    `era` is what chose a state of the runtime in version 0.1; see `table_of_era`.

    Example:
        >>> load_table("pixel1_2018").device
        'Google Pixel 1'

    Raises:
        UnknownName: if there is no such table; the closest are named.
        BadFile: if the file is malformed; file, line where known, and key are named.
    """
    place, chosen = split_era(table_of_era(name, era))
    path = find("latency table", place, where="latency_tables")
    reader = Reader(path)
    return _table(reader.record(without_eras(read_mapping(path), reader, chosen), _File))


def write_table(table: LatencyTable, path: Path, *, heading: str = "") -> None:
    """Write `table` to `path` atomically; `load_table` gives an equal one back.

    `heading` becomes a comment at the top; a path that ends in .json gets JSON, which has none.
    """
    if path.suffix == ".json":
        write_text(path, to_json(table_mapping(table)), follow=True)
        return
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    write_text(path, comment + to_yaml(table_mapping(table)), follow=True)


def table_mapping(table: LatencyTable) -> dict[str, Any]:
    """Return `table` as what its file holds, `schema` first."""
    content: dict[str, Any] = {"schema": SCHEMA}
    content |= {key: getattr(table, key) for key in (*_TEXTS, "threads")}
    content |= {"sources": list(table.sources), "weak": list(table.weak)}
    content |= {
        "error": asdict(table.error),
        "spread": _spread_mapping(table.spread),
        "overhead_ms": table.overhead_ms,
    }
    if table.model:
        content["model"] = {
            "coefficients": dict(table.model.coefficients),
            "assumed": dict(table.model.assumed),
            "ranges": {name: list(bounds) for name, bounds in table.model.ranges.items()},
            "resolution": list(table.model.resolution),
        }
    content |= _measured_mapping(table)
    return content


def file_fingerprint(table: LatencyTable) -> str:
    """Return 16 hex digits of all that the file of `table` holds."""
    return earlier_fingerprint(table_mapping(table))


def _measured_mapping(table: LatencyTable) -> dict[str, Any]:
    """Return what only a table of measured units has."""
    content: dict[str, Any] = {}
    if table.provenance:
        content["provenance"] = _plain(asdict(table.provenance))
    if table.correction:
        content["boundary"] = dict(table.correction.coefficients)
    if table.validation:
        points = {name: list(point) for name, point in table.validation.points.items()}
        content["validation"] = _plain({**asdict(table.validation), "points": points})
    if table.lacks:
        content["lacks"] = dict(table.lacks)
    if table.entries:
        rows = {key: asdict(entry) for key, entry in table.entries.items()}
        content["entries"] = {
            key: {name: round(ms, 6) for name, ms in row.items() if ms is not None}
            for key, row in rows.items()
        }
    return content


def _spread_mapping(spread: Spread) -> dict[str, Any]:
    """Leave `modelled` out where it is 0: only tables of measured units have it."""
    return {k: v for k, v in asdict(spread).items() if k != "modelled" or v}


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in record.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """The section `model`."""

    coefficients: Mapping[str, Coefficient]
    assumed: Mapping[str, str]
    ranges: Mapping[str, tuple[int, int]]
    resolution: tuple[int, int]

    def __post_init__(self) -> None:
        _check_names(self.coefficients, (*COUNTS, *FINER), "coefficients")
        missing = set(COUNTS) - set(self.coefficients)  # each would count a silent zero
        if missing:
            raise BadValue(f"lacks coefficients for {', '.join(sorted(missing))}", "coefficients")
        _check_names(self.assumed, COUNTS, "assumed")
        _check_names(self.ranges, EXTENTS, "ranges", all_of_them=True)
        for path, (least, largest) in (
            *((("ranges", name), bounds) for name, bounds in self.ranges.items()),
            (("resolution",), self.resolution),
        ):
            if least > largest:
                raise BadValue(f"{path[-1]} must be the least value and the largest", *path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What the file of a table holds."""

    schema: int
    name: str
    device: str
    core: str
    runtime: str
    dtype: str
    threads: int
    sources: tuple[str, ...]
    weak: tuple[str, ...]
    error: TableError
    spread: Spread
    overhead_ms: Milliseconds = 0.0
    model: _Model | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    boundary: Mapping[str, Signed] | None = None
    validation: Validation | None = None

    def __post_init__(self) -> None:
        if self.boundary is not None:
            _check_names(self.boundary, FEATURES, "boundary", all_of_them=True)
        if not self.model and not self.entries:
            raise BadValue("needs entries or a model")
        for key, entry in self.entries.items():
            if not entry.low_ms <= entry.ms <= entry.high_ms:
                raise BadValue(f"{key} must have low_ms <= ms <= high_ms", "entries", key)
            if entry.ms == 0 and self.provenance:  # an imported unit may be part of another
                raise BadValue(f"{key} must have more than 0 ms", "entries", key)


def _check_names(
    found: Mapping[str, Any], known: tuple[str, ...], *path: str, all_of_them: bool = False
) -> None:
    for name in found:
        if name not in known:
            raise BadValue(str(unknown("key", name, known)), *path, name)
    missing = [name for name in known if name not in found]
    if all_of_them and missing:
        raise BadValue(f"missing {', '.join(missing)}", *path, missing[0])


def _table(found: _File) -> LatencyTable:
    same = (*_TEXTS, "threads", "sources", "weak", "error", "spread", "overhead_ms")
    return LatencyTable(
        **{name: getattr(found, name) for name in (*same, "entries", "lacks")},
        model=OpModel(**_shallow(found.model)) if found.model else None,
        provenance=found.provenance,
        correction=None if found.boundary is None else Correction(coefficients=found.boundary),
        validation=found.validation,
    )


def _shallow(record: _Model) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}
