"""Read search spaces from YAML: a list is a choice, a scalar is fixed."""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from nas.core import data
from nas.core.errors import BadFile, NasError, UnknownName
from nas.core.plugins import Plugin, check_named
from nas.core.schema import FromFile, Reader, check_keys
from nas.core.text import shown
from nas.core.wrong_kind import SPACE, wrong_kind_error
from nas.network.blocks import ACTS, GATES, MAX_CHANNELS, MAX_PIXELS, MAX_WINDOW, SKIPS
from nas.network.lowering import kind_of, kinds_of_blocks
from nas.space.rows import SHARED, Row, Squeezing, Squeezings, Value
from nas.space.space import Space

DEFAULTS: Mapping[str, Value] = {
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
    "act": ACTS,
    "se_act": ACTS,
    "gate": GATES,
    "skip": SKIPS,
    "per_layer": _PER_LAYER,
}
_OPTIONAL = ("expansion_rest", "width_ratio")
"""Fields without a default."""
_CHOICES = {
    "stem": ("width", "kernel"),
    "head": ("width",),
    "stages": (
        "kind",
        "width",
        "layers",
        "expansion",
        "expansion_rest",
        "kernel",
        "se",
        "act",
        "skip",
        "stride",
    ),
}
_RATIOS = ("expansion", "expansion_rest", "width_ratio")
_MAX_RATIO, _MAX_MULTIPLIER = 1_000, 100
_MAX_AROUND = 10_000
_MOST = 255
_MAX_ROWS, _MAX_LAYERS = 100, 100
_LARGEST = {"layers": _MAX_LAYERS, "kernel": MAX_WINDOW, "stride": MAX_WINDOW}
_MAX_KINDS_OF_BLOCKS = 100_000
_KEYS = (
    "schema",
    "name",
    "source",
    "baseline",
    "resolution",
    "multiplier",
    "act",
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
    """Return the space with a bundled name, or in a YAML file.

    Raises:
        UnknownName: if no bundled space has the name; it lists the closest ones.
        BadFile: if the file is missing or malformed; it names the line and the key.
    """
    try:
        path = data.find("search space", name, where="search_spaces")
        content = data.read_mapping(path)
        _check_code(content)
        return space_from_mapping(content, source=str(path))
    except (UnknownName, BadFile) as error:
        raise wrong_kind_error(error, str(name), SPACE) from None


def space_from_mapping(content: Mapping[str, Any], *, source: str = "space") -> Space:
    """Return the space that the `content` of a file describes.

    Raises:
        BadFile: if a key is unknown or missing, or a value is out of range; it names the key, and
            the line if known.
    """
    required = ("schema", "name", "resolution", "stem", "stages", "head")
    check_keys(content, known=_KEYS, required=required, place=source)
    _check_plain(content, source)
    defaults = content.get("defaults", {})
    _check_row(defaults, f"{source}: defaults")
    acts, squeezings = _acts(content, source), _squeezings(content, source)
    read = partial(_rows, acts=acts, squeezings=squeezings)
    space = Space(
        name=content["name"],
        resolutions=_resolutions(content, source),
        multipliers=_multipliers(content, source),
        acts=acts,
        stem=read(content, "stem", {}, source),
        stages=read(content, "stages", defaults, source),
        heads=_heads(content, source, read),
        squeezings=squeezings,
        dropout=content.get("dropout", 0.0),
        drop_connect=content.get("drop_connect", 0.0),
        baseline=content.get("baseline", ""),
        fixed_features=content.get("fixed_features", False),
    )
    _check_strides(space, content, source)
    if not space.columns:
        raise BadFile(f"{source}: no field has a list, so there is nothing to choose")
    around = prod(len(c.values) for c in space.columns if c.stage is None)
    if around > _MAX_AROUND * len(space.resolutions) * len(space.multipliers):
        raise BadFile(
            f"{source}: act, stem and head have {around:,} combinations; at most "
            f"{_MAX_AROUND:,} are allowed"
        )
    return space


def _check_code(content: Any) -> None:
    """Reject block kinds that a file names by dotted paths, unless the user allows them.

    Raises:
        NasError: as `check_named` does.
    """
    inner = content.values() if isinstance(content, Mapping) else content
    if isinstance(content, Mapping | list):
        for value in inner:
            _check_code(value)
    kinds = content.get("kind") if isinstance(content, Mapping) else None
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str):
            check_named("blocks", FromFile(kind))


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
    if not all(type(value) is int and 32 <= value <= MAX_PIXELS for value in values):
        found = ", ".join(map(shown, values))
        wanted = f"must be whole numbers from 32 to {MAX_PIXELS:,}, not {found}"
        raise _bad(content, "resolution", source, wanted)
    return tuple(int(value) for value in values)


def _multipliers(content: Mapping[str, Any], source: str) -> tuple[float, ...]:
    values = _values(content, "multiplier", source) if "multiplier" in content else (1.0,)
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < float(value) <= _MAX_MULTIPLIER:
            wanted = f"must be numbers above 0, {_MAX_MULTIPLIER} at most, not {shown(value)}"
            raise _bad(content, "multiplier", source, wanted)
    return tuple(float(value) for value in values)


def _acts(content: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Return the activations for rows of stem and head that name none."""
    if "act" not in content:
        return ()
    values = _values(content, "act", source)
    for value in values:
        if value not in ACTS:
            wanted = f"must be one of {', '.join(ACTS)}, not {shown(value)}"
            raise _bad(content, "act", source, wanted)
    return tuple(str(value) for value in values)


def _squeezings(content: Mapping[str, Any], source: str) -> Squeezings:
    """Return the only kind of squeeze-and-excitation, or all named ones."""
    found, place = content.get("se", {}), f"{source}: se"
    if not isinstance(found, Mapping) or not any(isinstance(v, Mapping) for v in found.values()):
        return {True: _squeezing(found, place)}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Mapping):
            raise Reader(place).fail(f"{shown(name)} must be a name with a mapping", found, name)
    return {name: _squeezing(value, f"{place}.{name}") for name, value in found.items()}


def _squeezing(content: Any, place: str) -> Squeezing:
    Reader(place).record(content, Squeezing)
    return Squeezing(**content)  # numbers as given, since fingerprints distinguish 1 and 1.0


def _heads(
    content: Mapping[str, Any], source: str, read: Callable[..., tuple[Row, ...]]
) -> Mapping[str, tuple[Row, ...]]:
    """Return the rows of the only head, or those of each named head."""
    found = content["head"]
    if not isinstance(found, Mapping) or not found:
        rows = read(content, "head", {}, source)
        if len(rows[-1].options["width"]) > 1:
            text = "width of the last row is the number of classes, which cannot be a choice"
            raise Reader(f"{source}: head.{len(rows) - 1}").fail(text, found[-1], "width")
        return {"": rows}
    for name in found:
        if not isinstance(name, str) or not name:
            raise _bad(content, "head", source, f"needs texts as names, not {shown(name)}")
    return {n: read({f"head.{n}": rows}, f"head.{n}", {}, source) for n, rows in found.items()}


def _check_strides(space: Space, content: Mapping[str, Any], source: str) -> None:
    """Reject a stage that may be dropped although it has a stride."""
    for s, row in enumerate(space.stages):
        strides = row.options["stride"]
        if len(strides) > 1 and not {"pool", "linear"}.isdisjoint(row.options["kind"]):
            text = "stride is a choice, so that pool and linear blocks cannot stand here"
            raise Reader(f"{source}: stages.{s}").fail(text, content["stages"][s], "stride")
        if 0 in row.options["layers"] and strides != (1,):
            raise Reader(f"{source}: stages.{s}").fail(
                f"a stage of stride {strides[-1]} cannot have 0 layers, "
                "since what follows would be larger; give it 1 or more, or stride 1",
                content["stages"][s],
                "layers",
            )


def _rows(
    content: Mapping[str, Any],
    key: str,
    defaults: Mapping[str, Any],
    source: str,
    *,
    acts: tuple[str, ...],
    squeezings: Squeezings,
) -> tuple[Row, ...]:
    rows = content[key]
    if not isinstance(rows, list) or not rows:
        raise _bad(content, key, source, f"must be a list of rows, not {shown(rows)}")
    if len(rows) > _MAX_ROWS:
        raise _bad(content, key, source, f"has at most {_MAX_ROWS} rows, not {len(rows)}")
    read = []
    for i, row in enumerate(rows):
        place = f"{source}: {key}.{i}"
        _check_row(row, place)
        _check_width({**defaults, **row}, row, place)
        plain = {} if key == "stages" or not acts else {"act": SHARED}
        read.append(_row(row, {**plain, **defaults}, place, key))
        _check_se(row, read[-1], place, squeezings)
    return tuple(read)


def _check_width(known: Mapping[str, Any], row: Mapping[str, Any], place: str) -> None:
    """Refuse a row that says no width, unless its blocks keep the one before."""
    if known.get("kind") != "pool" and not known.keys() & {"width", "width_ratio"}:
        raise Reader(place).fail("width is missing: the output channels of its blocks", row)


def _check_se(row: Mapping[str, Any], made: Row, place: str, squeezings: Squeezings) -> None:
    """Reject a squeeze-and-excitation that the file does not define."""
    for value in made.options["se"]:
        if value is not False and value not in squeezings:
            names = ", ".join("true" if name is True else str(name) for name in squeezings)
            raise _bad(row, "se", place, f"must be false or one of {names}, not {shown(value)}")


def _check_row(row: Any, place: str) -> None:
    """Reject a row that is not a mapping of fields, and values that a field cannot have."""
    if not isinstance(row, Mapping):
        raise BadFile(f"{place}: expected a mapping of fields, found {shown(row)}")
    check_keys(row, known=(*DEFAULTS, *_OPTIONAL, "per_layer"), required=(), place=place)
    for field in row:
        if field == "per_layer" and row[field] == []:
            continue
        for value in _values(row, field, place):
            wanted = _kind_wanted(value) if field == "kind" else _wanted(field, value)
            if wanted:
                raise _bad(row, field, place, f"must be {wanted}, not {shown(value)}")


def _row(row: Mapping[str, Any], defaults: Mapping[str, Any], place: str, part: str) -> Row:
    """Return the row of a `part`; those of "stem" and "stages" may have choices, heads not."""
    merged = {**DEFAULTS, **defaults, **row}
    per_layer = merged.pop("per_layer", ())
    options = {f: tuple(v) if isinstance(v, list) else (v,) for f, v in merged.items()}
    for field, values in options.items():
        if len(values) > 1 and field not in _CHOICES.get(part, ()):
            raise _bad(row, field, place, "cannot be a choice here; give one value")
    _check_layers(row, options, place, part)
    many = prod(len(values) for field, values in options.items() if field != "layers")
    if many > _MAX_KINDS_OF_BLOCKS:
        raise Reader(place).fail(
            f"has {many:,} kinds of blocks, the product of all choices; "
            f"at most {_MAX_KINDS_OF_BLOCKS:,} are allowed",
            row,
        )
    wanted = (per_layer,) if isinstance(per_layer, str) else tuple(per_layer)
    return Row(options=options, per_layer=tuple(f for f in wanted if len(options[f]) > 1))


def _check_layers(
    row: Mapping[str, Any], options: Mapping[str, tuple[Value, ...]], place: str, part: str
) -> None:
    """Reject fields in the wrong part, and fields that exclude each other."""
    inside = part == "stages"
    if not inside and options["layers"] != (1,):
        raise _bad(row, "layers", place, "must be 1 in stem and head")
    for field, fits in (("expansion_rest", inside), ("width_ratio", not inside)):
        if field in options and not fits:
            where = "stages" if field == "expansion_rest" else "stem and head"
            raise _bad(row, field, place, f"belongs in {where} only")
    if "width_ratio" in row and "width" in row:
        raise _bad(row, "width_ratio", place, "replaces width; give only one of them")
    if "expansion_rest" in options and "expansion" in row.get("per_layer", ()):
        raise _bad(row, "per_layer", place, "has expansion, which expansion_rest excludes")


def _wanted(field: str, value: Any) -> str:
    """Return which values `field` accepts if `value` is not one of them, else ""."""
    if field in _ALLOWED:
        return "" if value in _ALLOWED[field] else f"one of {', '.join(_ALLOWED[field])}"
    if field == "se":
        return "" if type(value) in (bool, str) else "true or false"
    if field == "layers" and type(value) is int and value == 0:
        return ""
    if field in _RATIOS and type(value) is float:
        return "" if 1 <= value <= _MAX_RATIO else f"numbers from 1 to {_MAX_RATIO:,}"
    if type(value) is not int or value < 1:
        return "whole numbers >= 1"
    most = _LARGEST.get(field, MAX_CHANNELS)
    if value > most:
        return f"{most:,} at most"
    return "odd" if field == "kernel" and value % 2 == 0 else ""


def _kind_wanted(value: Any) -> str:
    """Return which block kinds a space may have if `value` is not one of them, else "".

    Raises:
        NasError: if it is a kind with options that it does not take.
    """
    known = [kind for kind in kinds_of_blocks() if kind_of(kind).in_spaces]
    named = isinstance(value, str) and Plugin.parse(value).name
    if value in known or (named in known and kind_of(value)):
        return ""
    if named and "." in named and kind_of(value).in_spaces:
        return ""
    return f"one of {', '.join(known)}"


def _values(content: Mapping[str, Any], key: str, place: str) -> tuple[Value, ...]:
    """Return the values of a field: one if it is fixed, several if it is a choice."""
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
    """Return the error for one key, with its line if known."""
    return Reader(place).fail(f"{key} {problem}", content, key)
