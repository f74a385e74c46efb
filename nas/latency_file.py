"""Read and write latency tables as YAML or JSON, strictly."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.boundary import FEATURES, Boundary
from nas.data import SCHEMA, check_keys, find, read_mapping, to_json, to_yaml, write_text
from nas.errors import BadFile, unknown
from nas.latency import Entry, Era, LatencyTable, Spread, TableError
from nas.operators import COUNTS, EXTENTS, FINER, OpModel
from nas.provenance import Provenance, Validation
from nas.reader import Reader

_TEXTS = ("name", "device", "core", "dtype")
_REQUIRED = (
    "schema", *_TEXTS, "threads", "sources", "weak", "default_era", "eras", "error", "spread"
)  # fmt: skip
_KNOWN = (
    *_REQUIRED, "overhead_ms", "model", "entries", "lacks", "provenance", "boundary", "validation"
)  # fmt: skip
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
    return _table(Reader(path), data, None if era is None else str(era))


def write_table(table: LatencyTable, path: Path, *, heading: str = "") -> None:
    """Write `table` to `path` atomically; `load_table` gives an equal one back.

    The era in force becomes the default era. `heading` becomes a comment at the top; a path that
    ends in .json gets JSON, which has no comments.
    """
    if path.suffix == ".json":
        write_text(path, to_json(table_mapping(table)))
        return
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
    content |= _measured_mapping(table)
    return content


def _measured_mapping(table: LatencyTable) -> dict[str, Any]:
    """Return what only a table of measured units has."""
    content: dict[str, Any] = {}
    if table.provenance:
        content["provenance"] = _plain(asdict(table.provenance))
    if table.boundary:
        content["boundary"] = dict(table.boundary.coefficients)
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


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in record.items()}


def _era_mapping(era: Era) -> dict[str, Any]:
    return {
        "runtime": era.runtime,
        "factor": era.factor,
        "coefficients": dict(era.coefficients),
    }


def _table(read: Reader, data: Mapping[str, Any], era: str | None) -> LatencyTable:
    chosen = era if era is not None else read.text(data, "default_era")
    eras = read.mapping(data, "eras")
    model = _model(read, read.mapping(data, "model", _MODEL)) if "model" in data else None
    if chosen not in eras:
        raise unknown(f"era of latency table {read.text(data, 'name')!r}", chosen, eras)
    texts: dict[str, Any] = {key: read.text(data, key) for key in _TEXTS}
    table = LatencyTable(
        **texts,
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
        **_measured(read, data),
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


def _era(read: Reader, data: Mapping[str, Any]) -> Era:
    return Era(
        runtime=read.text(data, "runtime"),
        factor=read.number(data, "factor"),
        coefficients=_coefficients(read, data),
    )


def _coefficients(read: Reader, data: Mapping[str, Any]) -> dict[str, float]:
    values = read.mapping(data, "coefficients")
    known = (*COUNTS, *FINER)
    check_keys(values, known=known, required=(), place=f"{read.path}, coefficients")
    return {name: read.number(values, name) for name in values}


def _model(read: Reader, data: Mapping[str, Any]) -> OpModel:
    assumed, ranges = read.mapping(data, "assumed"), read.mapping(data, "ranges", EXTENTS)
    check_keys(assumed, known=COUNTS, required=(), place=f"{read.path}, assumed")
    return OpModel(
        coefficients=_coefficients(read, data),
        assumed={name: read.text(assumed, name) for name in assumed},
        ranges={name: read.bounds(ranges, name) for name in ranges},
        resolution=read.bounds(data, "resolution"),
    )


def _entries(read: Reader, data: Mapping[str, Any]) -> dict[str, Entry]:
    if "entries" not in data:
        return {}
    entries = read.mapping(data, "entries")
    found = {key: Entry(**read.record(entries, key, Entry)) for key in entries}
    for key, entry in found.items():
        if not 0 <= entry.low_ms <= entry.ms <= entry.high_ms:
            raise read.bad(entries, key, "low_ms <= ms <= high_ms")
        if entry.ms == 0 and "provenance" in data:  # an imported unit may be part of another
            raise read.bad(entries, key, "more than 0 ms")
    return found


def _measured(read: Reader, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that only a table of measured units has."""
    found: dict[str, Any] = {}
    if "lacks" in data:
        lacks = read.mapping(data, "lacks")
        found["lacks"] = {key: read.text(lacks, key) for key in lacks}
    if "provenance" in data:
        found["provenance"] = Provenance(**read.record(data, "provenance", Provenance))
    if "boundary" in data:
        values = read.mapping(data, "boundary", FEATURES)
        numbers = {name: read.signed(values, name) for name in values}
        found["boundary"] = Boundary(coefficients=numbers)
    if "validation" in data:
        found["validation"] = _validation(read, data)
    return found


def _validation(read: Reader, data: Mapping[str, Any]) -> Validation:
    signed = ("bias", "kendall_tau")
    record = read.record(data, "validation", Validation, without=(*signed, "points"))
    values = data["validation"]
    rows = read.mapping(values, "points")
    points = {}
    for name in rows:
        pair = rows[name]
        if not isinstance(pair, list) or len(pair) != 2 or not all(_positive(v) for v in pair):
            raise read.bad(rows, name, "[predicted, measured] in milliseconds")
        points[name] = (float(pair[0]), float(pair[1]))
    record |= {name: read.signed(values, name) for name in signed}
    return Validation(**record, points=points)


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")
