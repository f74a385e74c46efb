"""Tables of scaling: a network before and after, and the grid of a search."""

from collections.abc import Sequence
from typing import Any

from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.memory import memory
from nas.report.tables import Table
from nas.scaling.grid import Budget
from nas.scaling.search import GridScorer, Scored

BATCH = 32
"""The batch size for which the memory of a training is shown."""
_MIB = 2**20


def facts(arch: Architecture, table: LatencyTable | None) -> dict[str, Any]:
    """Return the facts of a network as plain data; bytes are of 32-bit floats."""
    found, need = cost(arch), memory(arch)
    latency = table.predict(arch) if table else None
    predicted = ("ms", "low_ms", "high_ms") if latency else ()
    return {
        "name": arch.name,
        "fingerprint": arch.fingerprint,
        "resolution": arch.resolution,
        "blocks": [len(stage) for stage in arch.stages],
        "layers": sum(len(unit.layers) for unit in lower(arch)),
        "channels": [part[-1].out_channels for part in (arch.stem, *arch.stages) if part],
        "macs": found.macs,
        "params": found.params,
        "activations": found.activations,
        "weights_bytes": round(need.weights),
        "activations_bytes": round(need.activations),
        "training_bytes": round(need.training(BATCH)),
        "dropout": arch.dropout,
        "drop_connect": arch.drop_connect,
        **{f"latency_{name}": getattr(latency, name) for name in predicted},
    }


def scale_table(before: dict[str, Any], after: dict[str, Any]) -> Table:
    """Return the facts of a network before and after scaling, side by side."""
    rows = [
        ("resolution", "resolution", 1, "{:.0f}"),
        ("layers", "layers", 1, "{:.0f}"),
        ("MACs M", "macs", 1e6, "{:,.1f}"),
        ("params M", "params", 1e6, "{:,.2f}"),
        ("weights MiB", "weights_bytes", _MIB, "{:,.1f}"),
        ("activations MiB, one image", "activations_bytes", _MIB, "{:,.1f}"),
        (f"training MiB, {BATCH} images", "training_bytes", _MIB, "{:,.0f}"),
        ("latency ms", "latency_ms", 1, "{:.2f}"),
    ]
    numbers = [
        (
            text,
            *(form.format(side[key] / unit) for side in (before, after)),
            f"{after[key] / before[key]:.2f}",
        )
        for text, key, unit, form in rows
        if key in after
    ]
    lists = [(key, _joined(before[key]), _joined(after[key]), "") for key in ("blocks", "channels")]
    rates = [
        (text, f"{before[key]:g}", f"{after[key]:g}", "")
        for text, key in (("dropout", "dropout"), ("drop-connect", "drop_connect"))
    ]
    return Table(
        title=f"{before['name'] or before['fingerprint']}, scaled",
        headings=("", "before", "after", "times"),
        rows=(*numbers, *lists, *rates),
    )


def _joined(values: Sequence[int]) -> str:
    return " ".join(map(str, values))


def grid_table(rows: Sequence[Scored], scorer: GridScorer, base: Architecture) -> Table:
    """Return the grid as a table, in the order of `rows`, the first in bold."""
    cells = [_cells(row, scorer.metric) for row in rows]
    return Table(
        title=f"{base.name or base.fingerprint}: {len(rows)} grid points, the best first",
        headings=tuple(cells[0]),
        rows=tuple(tuple(row.values()) for row in cells),
        bold=(0,),
    )


def grid_remarks(rows: Sequence[Scored], budget: Budget) -> tuple[str, ...]:
    """Say whether the networks of a grid cost the same, and how well that is predicted."""
    times = [row.point.times for row in rows]
    spread = f"{min(times):.2f} to {max(times):.2f} times the base's"
    if all(map(budget.holds, times)):
        first = f"the networks are compared at equal cost: their counted MACs are {spread}"
    elif budget.by == "latency":
        first = f"the networks are compared at equal latency; their counted MACs are {spread}"
    else:
        first = (
            f"NOT compared at equal cost: the counted MACs are {spread}, and larger networks tend "
            "to score higher; --by macs or --by latency compares at equal cost"
        )
    formula = max(abs(row.point.formula_error) for row in rows)
    rounded = max(abs(row.point.prediction_error) for row in rows)
    return (
        first,
        f"alpha * beta^2 * gamma^2 is at most {100 * formula:.1f} % off the counted MACs; the "
        f"formula applied to the rounded networks, unit by unit ('predicted M'), "
        f"{100 * rounded:.1f} %",
    )


def _cells(row: Scored, metric: str) -> dict[str, str]:
    """Return the cells of a row by their headings."""
    point = row.point
    score = "" if row.score != row.score else f"{100 * row.score:.2f}"
    return {
        "alpha": f"{point.by.alpha:g}",
        "beta": f"{point.by.beta:g}",
        "gamma": f"{point.by.gamma:g}",
        **({f"{metric} %": score} if metric else {}),
        "formula": f"{point.by.growth:.3f}",
        "predicted M": f"{point.predicted_macs / 1e6:.1f}",
        "MACs M": f"{point.cost.macs / 1e6:.1f}",
        "times": f"{point.times:.2f}",
        "params M": f"{point.cost.params / 1e6:.2f}",
        **({"latency ms": f"{point.latency.ms:.2f}"} if point.latency else {}),
        "px": str(point.arch.resolution),
        "error": row.error,
    }
