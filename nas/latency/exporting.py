"""Write latency tables in the formats of other projects, as far as these have keys."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nas.core.data import to_json, to_yaml
from nas.core.errors import NasError
from nas.core.files import write_text
from nas.latency.dialect import ENDING, Dialect, DialectEntry, load_dialect, unit_from_key
from nas.network.layers import Unit

_INPUT_CHANNELS = 3
_HALVINGS = 5  # these networks shrink their input to a thirty-second


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The files that were written, and the entries without a key in the dialect, with reasons."""

    paths: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_dialect(
    dialect: str, entries: Mapping[str, DialectEntry], path: str | Path, *, heading: str = ""
) -> Exported:
    """Write entries by `Unit.key` in a dialect, as far as it has keys for them.

    A `path` that ends in .yaml, .yml or .json becomes one file. Any other becomes a folder, with a
    file `RESOLUTION_lookup_table.yaml` for every resolution at which there is an entry for a stem;
    an entry is written to the file of each resolution that leads to its shape.

    Raises:
        UnknownName: if there is no such dialect.
        NasError: if it cannot express any entry, or no entry is that of a stem.
    """
    chosen, target = load_dialect(dialect), Path(path)
    keys, left_out = _expressible(chosen, entries)
    if not keys:
        reason = left_out[0] if left_out else "there are no entries"
        raise NasError(f"dialect {chosen.name} can express nothing of this table: {reason}")
    files: Mapping[Path, Sequence[str]] = {target: tuple(keys)}
    if target.suffix not in (".yaml", ".yml", ".json"):
        files, unreached = _by_resolution(keys, target)
        left_out += unreached
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    for file, names in files.items():
        content = {key: _fields(chosen, _joined(keys[key], entries)) for key in sorted(names)}
        text = to_json(content) if file.suffix == ".json" else comment + to_yaml(content)
        write_text(file, text, follow=True)
    return Exported(paths=tuple(files), left_out=tuple(left_out))


def _expressible(
    dialect: Dialect, entries: Mapping[str, DialectEntry]
) -> tuple[dict[str, tuple[Unit, ...]], list[str]]:
    """Return the keys that express exactly these entries, and the other entries with reasons."""
    units, reasons = [], {}
    for key in entries:
        try:
            units.append(unit_from_key(key))
        except NasError as error:
            reasons[key] = str(error)
    found: dict[str, tuple[Unit, ...]] = {}
    for key, proposed in dialect.keys(units):
        problem = _problem(dialect, key, proposed)
        if not problem:
            found[key] = proposed
        reasons |= {unit.key: problem for unit in proposed if problem}
    covered = {unit.key for proposed in found.values() for unit in proposed}
    nothing = f"dialect {dialect.name} has no key for it"
    left_out = [f"{key}: {reasons.get(key, nothing)}" for key in entries if key not in covered]
    return found, left_out


def _problem(dialect: Dialect, key: str, units: tuple[Unit, ...]) -> str:
    """Return why `key` does not stand for `units`, "" if it does."""
    try:
        meant = dialect.units(key)
    except NasError as error:
        return f"{key} would be no key of dialect {dialect.name}: {error}"
    if [unit.key for unit in meant] == [unit.key for unit in units]:
        return ""
    return f"the nearest key, {key}, means {' and '.join(unit.key for unit in meant)}"


def _by_resolution(
    keys: Mapping[str, tuple[Unit, ...]], folder: Path
) -> tuple[dict[Path, list[str]], list[str]]:
    """Return the keys of each resolution's file, and the keys that fit no resolution."""
    sides = {key: max(unit.in_shape[1] for unit in units) for key, units in keys.items()}
    resolutions = sorted(
        {sides[key] for key, units in keys.items() if units[0].in_shape[0] == _INPUT_CHANNELS}
    )
    if not resolutions:
        raise NasError(
            f"cannot tell the resolutions of the files in {folder}: no entry is for a stem, "
            "3 channels to more; export to one file instead, as in `out=table.yaml`"
        )
    reached = {resolution: _sides(resolution) for resolution in resolutions}
    files = {
        folder / f"{resolution}{ENDING}.yaml": [
            key for key in keys if sides[key] in reached[resolution]
        ]
        for resolution in resolutions
    }
    anywhere = set(chain.from_iterable(reached.values()))
    unreached = [
        f"{units[0].key}: none of the resolutions {', '.join(map(str, resolutions))} leads to it"
        for key, units in keys.items()
        if sides[key] not in anywhere
    ]
    return files, unreached


def _sides(resolution: int) -> set[int]:
    """Return the sides of the feature maps of a network at `resolution`, 1 after its pooling."""
    return {1, *(-(-resolution // 2**halvings) for halvings in range(_HALVINGS + 1))}


def _joined(units: tuple[Unit, ...], entries: Mapping[str, DialectEntry]) -> DialectEntry:
    """Return the entry of several units together."""
    first, *others = (entries[unit.key] for unit in units)
    parts = [first, *(entry for entry in others if entry.ms > 0)]
    if len(parts) == 1:
        return first
    spreads = [part.deviation_ms for part in parts if part.deviation_ms is not None]
    return DialectEntry(
        ms=sum(part.ms for part in parts),
        deviation_ms=math.hypot(*spreads) if len(spreads) == len(parts) else None,
        count=first.count,
    )


def _fields(dialect: Dialect, entry: DialectEntry) -> dict[str, float | int]:
    fields: dict[str, float | int] = {} if entry.count is None else {"count": entry.count}
    fields["mean"] = entry.ms
    if entry.deviation_ms is not None:
        power = 2 if dialect.spread == "var" else 1
        fields[dialect.spread] = entry.deviation_ms**power
    return fields
