"""Read search spaces from YAML: a list is a choice, a scalar is fixed."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from nas.core import data
from nas.core.errors import BadFile, NasError
from nas.core.schema import Reader, check_keys
from nas.core.text import shown
from nas.network.blocks import ACTS, GATES, MOST_CHANNELS, MOST_PIXELS, MOST_WINDOW, SKIPS
from nas.network.layers import BLOCKS
from nas.space.rows import Row, Squeezing, Value
from nas.space.space import Space

_DEFAULTS: Mapping[str, Value] = {
    "kind": "mbconv",
    "expansion": 1,
    "kernel": 1,
    "layers": 1,
    "se": False,
    "width": 1,
    "stride": 1,
    "act": "relu6",
    "se_act": "relu",
    "gate": "sigmoid",
    "skip": "identity",
}
_PER_LAYER = ("kernel", "expansion", "se", "skip")
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "kind": tuple(BLOCKS),
    "act": ACTS,
    "se_act": ACTS,
    "gate": GATES,
    "skip": SKIPS,
    "per_layer": _PER_LAYER,
}
_FIXED = ("stride", "act", "se_act", "gate")
_MOST = 255
_MOST_ROWS, _MOST_LAYERS = 100, 100
_LARGEST = {"layers": _MOST_LAYERS, "kernel": MOST_WINDOW, "stride": MOST_WINDOW}
_MOST_KINDS_OF_BLOCKS = 100_000
_KEYS = (
    "schema",
    "name",
    "source",
    "baseline",
    "resolution",
    "dropout",
    "drop_connect",
    "fixed_features",
    "se",
    "stem",
    "defaults",
    "stages",
    "head",
)


def load_space(name: str | Path) -> Space:
    """Return the space of a bundled name or of a YAML file.

    Raises:
        UnknownName: if no bundled space has the name; it lists the closest ones.
        BadFile: if the file is missing or malformed; it names the line and the key.
    """
    path = data.find("search space", name, where="search_spaces")
    return space_from_mapping(data.read_mapping(path), source=str(path))


def space_from_mapping(content: Mapping[str, Any], *, source: str = "space") -> Space:
    """Return the space that `content`, what a space's file holds, describes.

    Raises:
        BadFile: if a key is unknown or missing or a value is out of its range; it names the key,
            and the line where that is known.
    """
    required = ("schema", "name", "resolution", "stem", "stages", "head")
    check_keys(content, known=_KEYS, required=required, place=source)
    _check_plain(content, source)
    defaults = content.get("defaults", {})
    _check_row(defaults, f"{source}: defaults")
    space = Space(
        name=content["name"],
        resolutions=_resolutions(content, source),
        stem=_rows(content, "stem", {}, source),
        stages=_rows(content, "stages", defaults, source),
        head=_rows(content, "head", {}, source),
        squeezing=_squeezing(content.get("se", {}), f"{source}: se"),
        dropout=content.get("dropout", 0.0),
        drop_connect=content.get("drop_connect", 0.0),
        baseline=content.get("baseline", ""),
        fixed_features=content.get("fixed_features", False),
    )
    if not space.columns:
        raise BadFile(f"{source}: no field has a list, so there is nothing to choose")
    return space


def _check_plain(content: Mapping[str, Any], source: str) -> None:
    read = Reader(source)
    for key, kind in (("name", str), ("source", str), ("baseline", str), ("fixed_features", bool)):
        if key in content:
            read.get(content, key, kind)
    for key in ("dropout", "drop_connect"):
        rate = content.get(key, 0.0)
        if type(rate) not in (int, float) or not 0 <= rate < 1:
            raise _bad(content, key, source, f"must be a number in [0, 1), not {shown(rate)}")


def _resolutions(content: Mapping[str, Any], source: str) -> tuple[int, ...]:
    values = _values(content, "resolution", source)
    if not all(type(value) is int and 32 <= value <= MOST_PIXELS for value in values):
        found = ", ".join(map(shown, values))
        wanted = f"must be whole numbers from 32 to {MOST_PIXELS:,}, not {found}"
        raise _bad(content, "resolution", source, wanted)
    return tuple(int(value) for value in values)


def _squeezing(content: Any, place: str) -> Squeezing:
    Reader(place).record(content, Squeezing)
    return Squeezing(**content)  # its numbers as they stand there: fingerprints tell 1 from 1.0


def _rows(
    content: Mapping[str, Any], key: str, defaults: Mapping[str, Any], source: str
) -> tuple[Row, ...]:
    rows = content[key]
    if not isinstance(rows, list) or not rows:
        raise _bad(content, key, source, f"must be a list of rows, not {shown(rows)}")
    if len(rows) > _MOST_ROWS:
        raise _bad(content, key, source, f"has at most {_MOST_ROWS} rows, not {len(rows)}")
    places = [f"{source}: {key}.{i}" for i in range(len(rows))]
    for row, place in zip(rows, places, strict=True):
        _check_row(row, place)
    fixed = key != "stages"
    return tuple(_row(r, defaults, place, fixed) for r, place in zip(rows, places, strict=True))


def _check_row(row: Any, place: str) -> None:
    """Refuse what is no mapping of fields, and values that no field can have."""
    if not isinstance(row, Mapping):
        raise BadFile(f"{place}: expected a mapping of fields, found {shown(row)}")
    check_keys(row, known=(*_DEFAULTS, "per_layer"), required=(), place=place)
    for field in row:
        if field == "per_layer" and row[field] == []:
            continue
        for value in _values(row, field, place):
            wanted = _wanted(field, value)
            if wanted:
                raise _bad(row, field, place, f"must be {wanted}, not {shown(value)}")


def _row(row: Mapping[str, Any], defaults: Mapping[str, Any], place: str, fixed: bool) -> Row:
    merged = {**_DEFAULTS, **defaults, **row}
    per_layer = merged.pop("per_layer", ())
    options = {f: tuple(v) if isinstance(v, list) else (v,) for f, v in merged.items()}
    for field, values in options.items():
        if len(values) > 1 and (fixed or field in _FIXED):
            raise _bad(row, field, place, "cannot be a choice here; give one value")
    many = prod(len(values) for field, values in options.items() if field != "layers")
    if many > _MOST_KINDS_OF_BLOCKS:
        raise Reader(place).fail(
            f"has {many:,} kinds of blocks, the product of all choices; "
            f"{_MOST_KINDS_OF_BLOCKS:,} are the most",
            row,
        )
    wanted = (per_layer,) if isinstance(per_layer, str) else tuple(per_layer)
    return Row(options=options, per_layer=tuple(f for f in wanted if len(options[f]) > 1))


def _wanted(field: str, value: Any) -> str:
    """Say what `field` takes where `value` is something else, nothing where it fits."""
    if field in _ALLOWED:
        return "" if value in _ALLOWED[field] else f"one of {', '.join(_ALLOWED[field])}"
    if field == "se":
        return "" if type(value) is bool else "true or false"
    if type(value) is not int or value < 1:
        return "whole numbers >= 1"
    most = _LARGEST.get(field, MOST_CHANNELS)
    if value > most:
        return f"{most:,} at most"
    return "odd" if field == "kernel" and value % 2 == 0 else ""


def _values(content: Mapping[str, Any], key: str, place: str) -> tuple[Value, ...]:
    """Return the values of a choice, a single one where it is fixed."""
    value = content[key]
    values = tuple(value) if isinstance(value, list) else (value,)
    if not all(isinstance(v, int | float | str | None) for v in values):
        raise _bad(content, key, place, f"takes plain values, not {shown(value)}")
    if not values or len(set(values)) != len(values):
        raise _bad(content, key, place, f"needs values, each once, not {shown(value)}")
    if len(values) > _MOST:
        raise _bad(content, key, place, f"has at most {_MOST} values, not {len(values)}")
    return values


def _bad(content: Mapping[str, Any], key: str, place: str, problem: str) -> NasError:
    """Return the error for one key, with its line where it is known."""
    return Reader(place).fail(f"{key} {problem}", content, key)
