"""The page of a latency table: its origin, its noise, its units, and its validation."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from nas.core.data import flat
from nas.latency.file import load_table
from nas.latency.table import LatencyTable
from nas.report.charts import COLOURS, axes, scatter
from nas.report.page import Chart, Page, Part
from nas.report.table_notes import facts, notes, speed_note, width_note

MAX_UNITS = 5000
"""Of more units, the slowest are listed."""
_LISTED = 500
_SHOWN_ELSEWHERE = ("name", "device", "runtime", "units")
_RANDOM = "network "


def table_page(path: str) -> Page:
    """Return the page of a latency table, a name or a file.

    Raises:
        NasError: if there is none, or it is damaged.
    """
    table = load_table(path)
    known = flat(facts(table))
    rows = [(name, _said(value)) for name, value in known.items() if name not in _SHOWN_ELSEWHERE]
    return Page(
        title=f"Latency table {table.name}",
        facts=_facts(table),
        parts=(
            Part(heading="Predicted against measured", charts=_validation(table)),
            Part(heading="What to know about the numbers", points=notes(table)),
            _units(table),
            Part(
                heading="Where they come from",
                headings=("", "value"),
                rows=tuple(row for row in rows if row[1]),
            ),
        ),
    )


def _facts(table: LatencyTable) -> dict[str, str]:
    found = {
        "device": table.device,
        "runtime": table.runtime,
        "threads": str(table.threads),
        "measured units": f"{len(table.entries):,}",
        "error on hold-out networks": f"{100 * table.error.mean:.1f} %",
    }
    if table.validation:
        found["validated, mean error"] = f"{100 * table.validation.mape:.1f} %"
        found["the same networks twice"] = f"{100 * table.validation.noise_floor:.1f} %"
    return {name: value for name, value in found.items() if value}


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _validation(table: LatencyTable) -> tuple[Chart, ...]:
    found = table.validation
    if found is None:
        return ()
    groups: Mapping[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for name, pair in found.points.items():
        random = name.startswith(_RANDOM)
        groups["random networks" if random else "known networks"][name] = pair
    text = f"{found.summary}. {speed_note(found)}".strip()
    return (scatter(groups, text=text),)


def _units(table: LatencyTable) -> Part:
    """Return the measured units: how wide their intervals are, and the slowest of them."""
    if not table.entries:
        text = "Nothing was measured unit by unit: an operator model predicts all of them."
        return Part(heading="Units", texts=(text,))
    entries = sorted(table.entries.items(), key=lambda item: -item[1].ms)
    rows = tuple(
        (key, f"{entry.ms:.4f}", f"{entry.low_ms:.4f}", f"{entry.high_ms:.4f}",
         f"{100 * (entry.high_ms - entry.low_ms) / 2 / entry.ms:.1f}" if entry.ms else "")
        for key, entry in entries[:_LISTED]
    )  # fmt: skip
    listed = (
        f"The {_LISTED} slowest of {len(entries):,} are listed." if len(entries) > _LISTED else ""
    )
    return Part(
        heading="Units",
        texts=tuple(filter(None, (f"{width_note(table)}.", listed))),
        charts=(_noise(table),),
        headings=("unit", "ms", "low ms", "high ms", "± %"),
        rows=rows,
    )


def _noise(table: LatencyTable) -> Chart:
    """Return the width of the intervals against the latency, unit by unit."""
    entries = sorted(table.entries.items(), key=lambda item: -item[1].ms)[:MAX_UNITS]
    found = [(key, e.ms, 50 * (e.high_ms - e.low_ms) / e.ms) for key, e in entries if e.ms > 0]
    median = float(np.median([width for _, _, width in found])) if found else 0.0
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [ms for _, ms, _ in found],
        "y": [round(width, 3) for _, _, width in found],
        "text": [key for key, _, _ in found],
        "marker": {"size": 4, "color": COLOURS[0], "opacity": 0.5},
        "hovertemplate": "%{text}<br>%{x:.4g} ms ± %{y:.1f} %<extra></extra>",
    }
    layout = axes("what a unit adds (ms)", "half the 90 % interval (%)")
    layout["xaxis"] |= {"type": "log"}
    text = f"The noise of the measurement, unit by unit; in the middle ±{median:.1f} %."
    return Chart(traces=(trace,), layout=layout, text=text, height=340)
