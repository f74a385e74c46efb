"""Reference networks: every other measurement is divided by the drift of what these take around it.

They are networks, since what fits into a small cache is not slowed down as networks are, and
several, since no two are slowed down alike. A table names its own (`Provenance.reference_ms`).
"""

from collections.abc import Iterable, Mapping

from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

SMALL_SIDE = 128
"""Inputs up to this side, in pixels, are measured beside references of the same size."""

_SIDE = 192  # another than the zoo's, so that these can validate a table
_LARGE = (
    "efficientnet_b0",
    "mnasnet_a1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "proxylessnas_mobile",
    "single_path_nas",
)
_SMALL = (
    "efficientnet_b0@0.5",
    "mnasnet_a1@0.5",
    "mobilenet_v1@0.25",
    "mobilenet_v2@0.35",
    "mobilenet_v3_large@0.35",
    "mobilenet_v3_small@0.5",
)
_SIDES = frozenset(map(str, range(1, _SIDE + 1)))
REFERENCES = tuple(f"{name} at {_SIDE}" for name in _LARGE)
"""Those for inputs of usual sizes, by name and side."""


def references_for(side: int) -> tuple[str, ...]:
    """Return the names of the references for inputs of up to `side` pixels.

    Example:
        >>> references_for(224)[0], references_for(64)[0]
        ('efficientnet_b0 at 192', 'efficientnet_b0@0.5 at 64')
    """
    return REFERENCES if side > SMALL_SIDE else tuple(f"{name} at {side}" for name in _SMALL)


def references_of(table: LatencyTable) -> tuple[str, ...] | None:
    """Return the names of the references that a table was measured beside, None for none known."""
    named = table.provenance.reference_ms if table.provenance else ()
    return tuple(name for name in named if _is_known(name)) or None


def networks_of(names: Iterable[str]) -> Mapping[str, Architecture]:
    """Return reference networks by their names, each at its side."""
    return {name: _network(*_parsed(name)) for name in names}


def _network(base: str, side: str) -> Architecture:
    return scale_resolution(load_architecture(base), int(side))


def _is_known(name: str) -> bool:
    """Tell whether a name, which may come from a file, is that of a reference."""
    side = _parsed(name)[1]
    return side in _SIDES and name in references_for(int(side)) + REFERENCES


def _parsed(name: str) -> tuple[str, str]:
    base, _, side = name.rpartition(" at ")
    return base, side
