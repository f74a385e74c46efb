"""Read the latency tables of other projects.

Published tables have one file per resolution; shapes that two files share were measured twice, with
results a few per cent apart. They are pooled as if all runs had been made at once: the mean
weighted by counts, the variance of one run by the law of total variance. If most results differ by
more than `APART` and more than their standard deviations explain, the files are rejected as those
of different devices; if few do, these are noise, which is pooled and reported.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Annotated, Any

from nas.core.data import read_foreign
from nas.core.errors import BadFile, NasError
from nas.core.plugins import available
from nas.core.schema import Count, Milliseconds, Range, Reader
from nas.core.text import LONGEST_VALUE, printable
from nas.latency.dialect import ENDING, Dialect, DialectEntry, load_dialect
from nas.network.layers import Unit

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_LEFT_OUT = ("min", "max")
APART = 0.5
"""The fraction of the smaller one by which two latencies of a unit may always differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The content of files: entries by `Unit.key`, keys without a unit of ours, and notes."""

    entries: Mapping[str, DialectEntry]
    unmapped: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The entry of one key, at `place` in a file, for `units` together."""

    place: str
    units: tuple[Unit, ...]
    entry: DialectEntry


def read_dialect(dialect: str, paths: Sequence[str | Path]) -> Imported:
    """Return the entries of one or several files of a dialect ("proxylessnas", "ofa").

    A folder stands for its files named `RESOLUTION_lookup_table.yaml` (or `.json`).

    Raises:
        UnknownName: if there is no such dialect.
        BadFile: if a file is malformed, most of its keys are not of the dialect, or two files
            contradict each other.
    """
    chosen = load_dialect(dialect)
    rows: list[_Row] = []
    unmapped: list[str] = []
    for file in chain.from_iterable(_files(Path(path)) for path in paths):
        read, unread = _read(chosen, file)
        rows += read
        unmapped += unread
    shares = sorted(chain.from_iterable(map(_shares, rows)), key=lambda share: share[0])
    groups = {
        key: [row for _, row in group] for key, group in groupby(shares, lambda share: share[0])
    }
    noisy = _noisy(groups)
    return Imported(
        entries={key: _pool(group) for key, group in groups.items()},
        unmapped=tuple(unmapped),
        notes=(*_joint_notes(rows), *_pooled_notes(groups), *noisy),
    )


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return (path,)
    found = [
        (int(file.stem.removesuffix(ENDING)), file)
        for file in path.glob(f"*{ENDING}.*")
        if file.stem.removesuffix(ENDING).isdecimal() and file.suffix in (".yaml", ".yml", ".json")
    ]
    if not found:
        raise BadFile(f"{path}: no RESOLUTION{ENDING}.yaml in this folder; name the files instead")
    return [file for _, file in sorted(found)]


def _read(dialect: Dialect, path: Path) -> tuple[list[_Row], list[str]]:
    """Return the rows of one file, and its keys without a unit, with place and reason."""
    content = _content(path)
    if "schema" in content:
        raise BadFile(f"{path}: has a schema, so it is a table of nas itself: it needs no import")
    rows, unmapped = [], []
    for key in content:
        line = getattr(content, "lines", {}).get(key)
        place = f"{path}, line {line}" if line else str(path)
        try:
            units = dialect.units(str(key))
        except NasError as error:
            unmapped.append(f"{place}: {printable(str(key), LONGEST_VALUE)}: {error}")
            continue
        entry = _entry(Reader(path).get(_plain(content, key), key, _Statistics))
        rows.append(_Row(place=place, units=units, entry=entry))
    if len(rows) < max(len(unmapped), 1):
        others = ", ".join(name for name in available("dialects") if name != dialect.name)
        reason = unmapped[0] if unmapped else f"{path}: it is empty"
        raise BadFile(
            f"{reason}; of dialect {dialect.name} are only {len(rows)} of {len(content)} keys "
            f"(there is also: {others})"
        )
    return rows, unmapped


def _content(path: Path) -> Mapping[str, Any]:
    try:
        return read_foreign(path)
    except BadFile as error:
        if "python/" in str(error):
            raise BadFile(
                f"{error}; it was written with objects of Python, as of numpy: convert them by "
                "float(...) before writing"
            ) from None
        raise


def _plain(content: Mapping[str, Any], key: Any) -> Mapping[str, Any]:
    """Return `content`, or the entry of `key` with numbers as programs with numpy write them.

    YAML reads 4e-1 and quoted numbers as texts; counts may be written as 10.0. The least and the
    largest run are omitted.
    """
    found = content[key]
    if not isinstance(found, Mapping):
        return content
    plain = {name: _number(value) for name, value in found.items() if name not in _LEFT_OUT}
    if isinstance(plain.get("count"), float) and plain["count"].is_integer():
        plain["count"] = int(plain["count"])
    return content if plain == dict(found) and _same_types(plain, found) else {key: plain}


def _same_types(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return list(map(type, first.values())) == list(map(type, second.values()))


def _number(value: Any) -> Any:
    """Return the number in a text, anything else unchanged."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statistics:
    """The content of one key in a file."""

    mean: Milliseconds
    count: Count | None = None
    std: Milliseconds | None = None
    var: Annotated[float, Range(0, 1e18)] | None = None


def _entry(found: _Statistics) -> DialectEntry:
    deviation = found.std
    if deviation is None and found.var is not None:
        deviation = math.sqrt(found.var)
    return DialectEntry(ms=found.mean, deviation_ms=deviation, count=found.count)


def _shares(row: _Row) -> Iterable[tuple[str, _Row]]:
    """Yield a row for each unit of a row; the first one has all of the time."""
    first, *others = row.units
    yield first.key, row
    for unit in others:
        yield unit.key, _Row(place=row.place, units=(unit,), entry=DialectEntry(ms=0.0))


def _joint_notes(rows: Sequence[_Row]) -> Iterable[str]:
    """Yield notes on units whose time is counted at another one."""
    joint = dict.fromkeys(
        tuple(unit.key for unit in row.units) for row in rows if len(row.units) > 1
    )
    for first, *others in joint:
        yield (
            f"{' and '.join(others)} has 0 ms: it was timed together with {first}, "
            "where all of it is counted"
        )


def _noisy(groups: Mapping[str, Sequence[_Row]]) -> tuple[str, ...]:
    """Return notes on units whose rows differ by more than their own spread.

    Raises:
        BadFile: if most of the units that were measured several times do.
    """
    shared = [key for key, rows in groups.items() if len({row.entry.ms for row in rows}) > 1]
    texts = [text for key in shared if (text := _apart(key, groups[key]))]
    if 2 * len(texts) > len(shared):
        raise BadFile(f"{texts[0]}; import the tables of different devices one by one")
    return tuple(f"{text}, more than their spread; pooled as noise" for text in texts)


def _apart(key: str, rows: Sequence[_Row]) -> str:
    """Describe how rows of one unit differ by more than their own spread; "" if not."""
    low, high = (pick(rows, key=lambda row: row.entry.ms) for pick in (min, max))
    noise = math.hypot(low.entry.deviation_ms or 0.0, high.entry.deviation_ms or 0.0)
    if high.entry.ms - low.entry.ms <= max(APART * low.entry.ms, noise):
        return ""
    return f"{high.place}: {key} takes {high.entry.ms:g} ms, but {low.entry.ms:g} ms in {low.place}"


def _pool(rows: Sequence[_Row]) -> DialectEntry:
    """Return one entry for all rows of a unit, weighted by their counts if all have one."""
    entries = [row.entry for row in rows]
    if len(set(entries)) == 1:
        return entries[0]
    counts = [entry.count for entry in entries if entry.count is not None]
    counted = len(counts) == len(entries)
    weights = counts if counted else [1] * len(entries)
    return DialectEntry(
        ms=_mean([entry.ms for entry in entries], weights),
        deviation_ms=_pooled_deviation(entries, weights),
        count=sum(counts) if counted else None,
    )


def _pooled_deviation(entries: Sequence[DialectEntry], weights: Sequence[int]) -> float | None:
    spreads = [entry.deviation_ms for entry in entries if entry.deviation_ms is not None]
    if len(spreads) < len(entries):
        return None
    center = _mean([entry.ms for entry in entries], weights)
    squares = [s**2 + (e.ms - center) ** 2 for s, e in zip(spreads, entries, strict=True)]
    return math.sqrt(_mean(squares, weights))


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _pooled_notes(groups: Mapping[str, Sequence[_Row]]) -> Iterable[str]:
    """Yield a note on how many units were measured several times, and the largest difference."""
    times = {key: sorted({row.entry.ms for row in group}) for key, group in groups.items()}
    ratios = {key: ms[-1] / (ms[0] or math.inf) for key, ms in times.items() if len(ms) > 1}
    if ratios:
        worst = max(ratios, key=lambda key: ratios[key])
        yield (
            f"measured several times, and pooled: {len(ratios)} of the units; furthest apart "
            f"is {worst}, with {times[worst][0]:g} and {times[worst][-1]:g} ms"
        )
