"""Import and export the latency tables of other projects."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np

from nas.core.errors import NasError
from nas.latency.dialect import DialectEntry, unit_from_key
from nas.latency.exporting import Exported, write_dialect
from nas.latency.importing import read_dialect
from nas.latency.measure.estimates import quantile
from nas.latency.measure.operator_fit import fit_operators
from nas.latency.provenance import TableError
from nas.latency.table import Entry, LatencyTable, Spread

_DEVIATIONS = 1.645
MIN_UNITS = 40
_OUTSIDE = 0.25
_USUAL = 0.1
"""The error of an imported table is not known; sums over layers are usually about so far off."""


def import_table(  # what the command line says
    dialect: str,
    files: Sequence[str | Path],
    *,
    device: str,
    threads: int,
    name: str,
    model: bool = False,
) -> tuple[LatencyTable, tuple[str, ...]]:
    """Return a table of entries from files of another project, and notes on it.

    A unit's 90 % interval is that of its mean, by standard deviation and count; without these it
    is the mean itself. With `model` an operator model is fitted to the units, for all others.

    Raises:
        BadFile: if a file is malformed; see `read_dialect`.
    """
    read = read_dialect(dialect, files)
    if not read.entries:
        raise NasError(f"{', '.join(map(str, files))}: nothing in it is a unit of ours")
    source = f"imported from {', '.join(Path(file).name for file in files)} ({dialect})"
    table = LatencyTable(
        name=name,
        device=device or Path(files[0]).stem,
        core="as imported",
        runtime=f"as imported ({dialect})",
        threads=threads,
        dtype="fp32",
        sources=(source,),
        weak=("the error of whole networks is not known",),
        error=TableError(
            scheme="not known", networks=0, mean=_USUAL, mean_large=_USUAL, worst=_USUAL
        ),
        spread=Spread(
            coverage=0.9,
            covered=0.0,
            relative=_USUAL,
            relative_small=_USUAL,
            small_below=0,
            assumed=0.0,
            outside=0.0,
        ),
        entries={key: _entry(entry) for key, entry in read.entries.items()},
    )
    if model:
        table = with_model(table)
    skipped = tuple(f"not read: {text}" for text in read.unmapped)
    return table, (*read.notes, *skipped)


def with_model(table: LatencyTable) -> LatencyTable:
    """Return a table of entries with an operator model that is fitted to them.

    The interval of a unit that the model predicts is as wide as the errors in ten-fold
    cross-validation require.

    Raises:
        NasError: if it has fewer than `MIN_UNITS` entries that take time.
        MissingPackage: if scipy is not installed.
    """
    known = {key: entry.ms for key, entry in table.entries.items() if entry.ms > 0}
    if len(known) < MIN_UNITS:
        raise NasError(
            f"only {len(known)} units; an operator model is fitted to {MIN_UNITS} or more"
        )
    fitted = fit_operators([unit_from_key(key) for key in known], list(known.values()))
    size = np.abs(fitted.errors)
    text = (
        f"units that were not measured come from an operator model, {100 * size.mean():.0f} % off "
        f"on average, {100 * size.max():.0f} % at most (ten-fold cross-validation on {len(size)})"
    )
    spread = replace(table.spread, modelled=round(quantile(size), 4), outside=_OUTSIDE)
    return replace(table, model=fitted.model, spread=spread, weak=(*table.weak, text))


def _entry(entry: DialectEntry) -> Entry:
    deviation = entry.deviation_ms or 0.0
    half = min(_DEVIATIONS * deviation / sqrt(entry.count or 1), entry.ms)
    return Entry(
        ms=entry.ms,
        low_ms=entry.ms - half,
        high_ms=entry.ms + half,
        deviation_ms=entry.deviation_ms,
        count=entry.count,
    )


def export_table(table: LatencyTable, dialect: str, path: Path) -> Exported:
    """Write the measured units of `table` in a dialect.

    The spread there is the standard deviation of one run. A table that was measured here holds
    only the interval of the mean, so it is written without a spread. What belongs to no unit is
    named among what is left out.

    Raises:
        NasError: if the table has none, or the dialect can express none of them.
    """
    if not table.entries:
        raise NasError(f"latency table {table.name} has no measured units, only a model")
    entries = {
        key: DialectEntry(ms=entry.ms, deviation_ms=entry.deviation_ms, count=entry.count)
        for key, entry in table.entries.items()
    }
    written = write_dialect(dialect, entries, path, heading=f"{table.device}, {table.runtime}")
    return replace(written, left_out=(*written.left_out, *_of_no_unit(table)))


def _of_no_unit(table: LatencyTable) -> tuple[str, ...]:
    """Return what `table` adds to the units of a network, which no dialect can say."""
    more = []
    if table.overhead_ms:
        more.append(f"what any run costs, {table.overhead_ms:g} ms")
    if table.reload:
        of = f"networks with more than {table.reload.fits_mb:g} MB"
        more.append(f"loading the weights of {of}, {table.reload.ms_per_mb:g} ms for each MB")
    return tuple(more)
