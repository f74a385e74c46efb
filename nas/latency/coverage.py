"""Measure how much of the latency of a space's networks a table extrapolates."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.core.errors import NasError
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.space.space import Matrix, Space

ON_MISSING = ("model", "measure", "fail")
"""What to do about units that a measured table lacks."""

NETWORKS = 64
Decode = Callable[[Matrix], tuple[Architecture, ...]]
MOST = 0.5
"""Extrapolating more than this fraction of the latency must be allowed explicitly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The fractions of units and of latency in random networks that a table has not measured."""

    networks: int
    units: float
    latency: float


def coverage(
    table: LatencyTable, space: Space, *, networks: int = NETWORKS, decode: Decode | None = None
) -> Coverage:
    """Return how much of `networks` random networks of `space` is extrapolated from `table`.

    `decode` returns the architectures of rows, by default those of the space. Nothing is
    extrapolated from a published table, which is an operator model with its own range; one that
    has units besides extrapolates what lies outside of that range.

    Raises:
        MissingEntry: if the table has neither an entry nor a model for some unit.
    """
    rows = space.sample_matrix(np.random.default_rng(0), networks)
    archs = (decode or space.decode_rows)(rows)
    parts = [unit for latency in table.predict_all(archs) for unit in latency.units]
    ours = table.provenance is not None
    missing = [unit for unit in parts if unit.extrapolated and (ours or unit.outside)]
    total = sum(unit.ms for unit in parts)
    return Coverage(
        networks=networks,
        units=round(len(missing) / len(parts), 6),
        latency=round(sum(unit.ms for unit in missing) / total, 6) if total else 0.0,
    )


def is_for(table: LatencyTable, space: Space) -> bool:
    """Return whether `table` was measured for a space with the choices of `space`.

    If so, its operator model was fitted to units of the space. Tables of version 0.1 do not record
    this.
    """
    return table.provenance is not None and table.provenance.choices == space.fingerprint


def coverage_text(found: Coverage, table: LatencyTable, space: Space) -> str:
    """Return one line on what is extrapolated, "" if nothing is."""
    if not found.units:
        return ""
    if is_for(table, space):
        return (
            f"latency table {table.name} models {100 * found.units:.3g} % of the units and "
            f"{100 * found.latency:.3g} % of the latency of random networks of space {space.name}; "
            "the others were measured"
        )
    measured = f", measured for space {table.provenance.space}," if table.provenance else ""
    return (
        f"latency table {table.name}{measured} extrapolates {100 * found.units:.3g} % of the units "
        f"and {100 * found.latency:.3g} % of the latency of random networks of space {space.name}"
    )


def check_coverage(found: Coverage, text: str, *, named: str) -> None:
    """Reject a table that extrapolates most of the latency; `text` is that of `coverage_text`.

    `named` is the name or the file of the space. A search calls this only for tables that were not
    measured for the space; see `is_for`.

    Raises:
        NasError: with the fractions, and what to do.
    """
    if found.latency > MOST:
        raise NasError(
            f"{text}; measure a table for it: nas latency measure --space {shlex.quote(named)} "
            "--out table.yaml, or search anyway with `allow_extrapolation`"
        )
