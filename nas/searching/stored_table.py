"""The latency table of a run: its folder keeps one that was given as an object."""

from pathlib import Path

from nas.core.errors import NasError
from nas.latency.file import load_table, write_table
from nas.latency.table import LatencyTable

TABLE = "latency_table.yaml"


def table_of(name: str, folder: Path | None) -> LatencyTable:
    """Return the table `name` of a run in `folder`: the one that it keeps under this name, if any.

    Raises:
        NasError: if there is no such table, or a file is malformed.
    """
    kept = folder / TABLE if folder else None
    if kept and kept.is_file() and (found := load_table(kept)).name == name:
        return found
    return load_table(name)


def store_table(table: LatencyTable, folder: Path) -> None:
    """Write a table that its name alone does not give into a run folder that lacks it."""
    if not (folder / TABLE).is_file() and not _is_bundled(table):
        write_table(table, folder / TABLE, heading=f"the latency table of this run, {table.name}")


def _is_bundled(table: LatencyTable) -> bool:
    try:
        return load_table(table.name) == table
    except NasError:
        return False
