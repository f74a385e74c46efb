"""Read and write latency tables as YAML or JSON, strictly."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

from nas.core import strict_yaml
from nas.core.data import find, read_mapping, to_json, to_yaml
from nas.core.errors import BadFile, BadValue, UnknownName
from nas.core.files import write_text
from nas.core.schema import SCHEMA, Reader
from nas.core.wrong_kind import TABLE, wrong_kind_error
from nas.latency.correction import Correction
from nas.latency.eras import earlier_fingerprint, split_era, table_of_era, without_eras
from nas.latency.predictor import COUNTS
from nas.latency.table import Entry, LatencyTable

_ALWAYS = (
    *("name", "device", "core", "runtime", "dtype", "threads"),
    *("sources", "weak", "error", "spread", "overhead_ms"),
)
"""The keys of every table's file."""


def load_table(name: str | Path, *, era: str | int | None = None) -> LatencyTable:
    """Return a bundled latency table, or the one in a YAML or JSON file.

    `era` selected a state of the runtime in version 0.1; see `table_of_era`.

    Example:
        >>> load_table("pixel1_2018").device
        'Google Pixel 1'

    Raises:
        UnknownName: if there is no such table; the closest are named.
        BadFile: if the file is malformed; file, line if known, and key are named.
    """
    place, chosen = split_era(table_of_era(name, era))
    try:
        return _load(place, chosen)
    except (UnknownName, BadFile) as error:
        raise wrong_kind_error(error, str(place), TABLE) from None


def _load(place: str | Path, chosen: str) -> LatencyTable:
    path = find("latency table", place, where="latency_tables")
    reader = Reader(path)
    content = without_eras(read_mapping(path), reader, chosen)
    correction = (
        reader.get(content, "boundary", Correction | None) if "boundary" in content else None
    )
    table = reader.record(strict_yaml.without(content, "schema", "boundary"), LatencyTable)
    try:
        _check(table)
    except BadValue as error:
        raise reader.fail(str(error), content, *error.path) from None
    return replace(table, correction=correction)


def write_table(table: LatencyTable, path: Path, *, heading: str = "") -> None:
    """Write `table` to `path` atomically; `load_table` inverts this.

    `heading` becomes a comment at the top, except in JSON, for paths that end in .json.
    """
    if path.suffix == ".json":
        write_text(path, to_json(table_mapping(table)), follow=True)
        return
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    write_text(path, comment + to_yaml(table_mapping(table)), follow=True)


def table_mapping(table: LatencyTable) -> dict[str, Any]:
    """Return `table` as the content of its file, `schema` first."""
    own = {key: _plain(getattr(table, key)) for key in _ALWAYS}
    if not table.spread.modelled:  # only tables of measured units have it
        del own["spread"]["modelled"]
    source = _plain(table.provenance)
    for later in ("choices", "graph", "facts"):  # earlier tables have none
        if source and not source[later]:
            del source[later]
    model = _plain(table.model)
    if model and not model["residual"]:
        del model["residual"]
    correction = _plain(table.correction)
    for later in ("terms", "separable"):  # earlier tables have none
        if correction and not correction[later]:
            del correction[later]
    rest = {
        "model": model,
        "provenance": source,
        "boundary": correction,
        "reload": table.reload,
        "validation": table.validation,
        "elsewhere": table.elsewhere,
        "lacks": table.lacks,
        "entries": {key: _rounded(entry) for key, entry in table.entries.items()},
    }
    return {"schema": SCHEMA, **own, **{key: _plain(part) for key, part in rest.items() if part}}


def file_fingerprint(table: LatencyTable) -> str:
    """Return 16 hex digits, a hash of the content of `table`'s file."""
    return earlier_fingerprint(table_mapping(table))


def _plain(value: Any) -> Any:
    """Return records as mappings and tuples as lists."""
    match value:
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case tuple():
            return list(map(_plain, value))
    return _plain(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value


def _rounded(entry: Entry) -> dict[str, float]:
    return {name: round(ms, 6) for name, ms in asdict(entry).items() if ms is not None}


def _check(table: LatencyTable) -> None:
    if not table.model and not table.entries:
        raise BadValue("needs entries or a model")
    missing = set(COUNTS) - set(table.model.coefficients) if table.model else ()
    if missing:  # each would silently count as zero
        lacks = f"lacks coefficients for {', '.join(sorted(missing))}"
        raise BadValue(lacks, "model", "coefficients")
    for key, entry in table.entries.items():
        if entry.ms == 0 and table.provenance:  # an imported unit may be part of another
            raise BadValue(f"{key} must have more than 0 ms", "entries", key)
