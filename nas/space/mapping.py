"""Convert search spaces to the content of their files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nas.core.schema import SCHEMA
from nas.space.file import DEFAULTS
from nas.space.rows import SHARED, Row, Squeezing
from nas.space.space import Space


def to_mapping(space: Space) -> dict[str, Any]:
    """Return the content of a space's file; `space_from_mapping` inverts this."""
    only = space.heads.get("")
    heads = {name: _rows(rows) for name, rows in space.heads.items()}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "name": space.name,
        "baseline": space.baseline,
        "resolution": _plain(space.resolutions),
        "multiplier": _plain(space.multipliers),
        "act": _plain(space.acts) if space.acts else "",
        "dropout": space.dropout,
        "drop_connect": space.drop_connect,
        "fixed_features": space.fixed_features,
        "se": _squeezings(space.squeezings),
        "stem": _rows(space.stem),
        "stages": _rows(space.stages),
        "head": _rows(only) if only else heads,
    }
    usual = {"baseline": "", "multiplier": 1.0, "act": "", "dropout": 0.0, "drop_connect": 0.0,
             "fixed_features": False, "se": asdict(Squeezing())}  # fmt: skip
    return {key: value for key, value in found.items() if value != usual.get(key)}


def _squeezings(found: Mapping[Any, Squeezing]) -> dict[str, Any]:
    return asdict(found[True]) if True in found else {n: asdict(s) for n, s in found.items()}


def _rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [_row(row) for row in rows]


def _row(row: Row) -> dict[str, Any]:
    """Return the fields of a row that differ from the defaults."""
    plain = {field: _plain(values) for field, values in row.options.items()}
    if "width_ratio" in plain:
        del plain["width"]
    kept = ("act",) if plain["kind"] == "pool" else ("act", "width")
    found = {
        field: value
        for field, value in plain.items()
        if (field, value) != ("act", SHARED) and (field in kept or value != DEFAULTS.get(field))
    }
    return found | ({"per_layer": list(row.per_layer)} if row.per_layer else {})


def _plain(values: Sequence[Any]) -> Any:
    """Return a single value as it is, several as a list."""
    return values[0] if len(values) == 1 else list(values)
