"""Networks block by block as plain data, small enough for the thousands of a front."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.core.text import few
from nas.latency.table import Latency, UnitLatency
from nas.network.blocks import Architecture
from nas.network.cost import cost_of
from nas.network.layers import Unit
from nas.network.lowering import lower

FIELDS = (
    *("kind", "in", "out", "hidden", "kernel", "stride", "se", "act", "skip"),
    *("macs", "params", "ms", "unmeasured"),
)
"""What is said of a block: shapes are channels x height x width, `ms` its share of the latency."""
_TEXTS = ("kind", "in", "out", "act", "skip", "unmeasured")
_SKIPS = {"none": "", "identity": "add"}


class _Numbers:
    """Gives every different thing a number."""

    def __init__(self) -> None:
        self.found: dict[Any, int] = {}

    def of(self, thing: Any) -> int:
        return self.found.setdefault(thing, len(self.found))


def network_data(
    archs: Mapping[str, Architecture],
    latencies: Sequence[Latency] | None = None,
    *,
    by: str = "",
) -> dict[str, Any]:
    """Return the blocks of networks by their names, each different block once.

    `nets` has for each network the number of its list in `names` and those of its `units`; a unit
    has a value for each of `fields`, the number of one of `texts` where it is one. Shares are of
    the latency where `latencies`, in the order of `archs`, are given, otherwise of the MACs;
    `by` names the tables.
    """
    names, units = _Numbers(), _Numbers()
    texts = {field: _Numbers() for field in _TEXTS}
    nets = {}
    for i, (name, arch) in enumerate(archs.items()):
        lowered = lower(arch)
        parts = latencies[i].units if latencies else (None,) * len(lowered)
        rows = [_row(unit, part, texts) for unit, part in zip(lowered, parts, strict=True)]
        own = names.of(tuple(unit.name for unit in lowered))
        nets[name] = [own, [units.of(row) for row in rows]]
    return {
        "fields": list(FIELDS),
        "by": "ms" if latencies else "macs",
        "what": f"latency by {by}" if latencies else "MACs",
        "names": [list(found) for found in names.found],
        "texts": {field: list(numbers.found) for field, numbers in texts.items()},
        "units": [list(found) for found in units.found],
        "nets": nets,
    }


def _row(unit: Unit, part: UnitLatency | None, texts: Mapping[str, _Numbers]) -> tuple[Any, ...]:
    block, found = unit.block, cost_of(unit)
    values = {
        "kind": block.kind,
        "in": "x".join(map(str, unit.in_shape)),
        "out": "x".join(map(str, unit.out_shape)),
        "hidden": block.hidden_channels or 0,
        "kernel": block.kernel if block.kind not in ("pool", "linear") else 0,
        "stride": block.stride,
        "se": block.se_channels or 0,
        "act": block.act if block.kind != "pool" else "",
        "skip": _SKIPS.get(unit.shortcut, unit.shortcut),
        "macs": int(found.macs),
        "params": int(found.params),
        "ms": part.ms if part else 0,
        "unmeasured": _unmeasured(part) if part else "",
    }
    return tuple(texts[f].of(values[f]) if f in texts else values[f] for f in FIELDS)


def _unmeasured(part: UnitLatency) -> str:
    """Return what of a unit's latency was not measured."""
    if part.outside:
        return f"beyond the table's measurements: {few(part.outside)}"
    return "not measured, but by the operator model" if part.extrapolated else ""
