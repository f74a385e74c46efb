"""The page of a scaling search, read from its folder alone."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.core.errors import NasError
from nas.core.files import read_text
from nas.core.run_folder import SCALED, SCALING, read_lines, reporting_damage
from nas.core.storage import Place
from nas.network.zoo import load_architecture
from nas.report.charts import axes
from nas.report.page import Chart, Page, Part
from nas.report.training_page import network_part

GRID = "grid.csv"
FILES = (SCALING.mark, GRID, SCALED)
"""What the page of a scaling search is made of."""
_MILLIONS = {"macs": "MACs M", "predicted_macs": "predicted M", "params": "params M"}
_COLUMNS = ("alpha", "beta", "gamma", "METRIC", "formula", "predicted_macs", "macs", "times",
            "params", "latency_ms", "resolution", "error")  # fmt: skip
_NUMBERS = ("alpha", "beta", "gamma", "macs", "times")
Row = Mapping[str, str]


def scaling_page(place: Place) -> Page:
    """Return the page of the scaling search in a folder, of whatever is there.

    Raises:
        NasError: if there is none, or it is damaged.
    """
    with place.reading(*FILES) as here, reporting_damage(here / SCALING.mark):
        header, *lines = read_lines(here / SCALING.mark)
        metric = str(header["metric"])
        rows = _rows(here)
        scored = len({line["fingerprint"] for line in lines if "score" in line})
        facts = {
            "state": "finished" if (here / SCALED).is_file() else "unfinished",
            "networks": f"{scored if metric else len(rows)} of {header['networks']}",
            "budget": f"{float(header['factor']):g} times the {header['by']}",
        }
        if rows:
            first = rows[0]
            facts["best"] = ", ".join(f"{k} {float(first[k]):g}" for k in _NUMBERS[:3])
            if metric and first.get(metric):
                facts[metric] = f"{100 * float(first[metric]):.2f} %"
        return Page(title=f"Scaling search: {place}", facts=facts, parts=_parts(here, rows, metric))


def _rows(here: Path) -> list[Row]:
    if not (here / GRID).is_file():
        return []
    rows: list[Row] = list(csv.DictReader(io.StringIO(read_text(here / GRID))))
    for row in rows:
        for name in _NUMBERS:
            float(row[name])
    return rows


def _parts(here: Path, rows: Sequence[Row], metric: str) -> tuple[Part, ...]:
    if not rows:
        return (Part(heading="The grid", texts=("The grid is written at the end.",)),)
    names = [metric if name == "METRIC" else name for name in _COLUMNS]
    shown = [name for name in names if any(row.get(name) for row in rows)]
    text = "Networks are comparable where 'times', the counted MACs in multiples of the base's, is "
    return (
        Part(
            heading="The grid, the best first",
            texts=(f"{text}the same.",),
            charts=(_chart(rows, metric),),
            headings=tuple(f"{n} %" if n == metric else _MILLIONS.get(n, n) for n in shown),
            rows=tuple(tuple(_cell(row, name, metric) for name in shown) for row in rows),
        ),
        _network(here),
    )


def _cell(row: Row, name: str, metric: str) -> str:
    text = row.get(name) or ""
    if name == metric and text:
        return f"{100 * float(text):.2f}"
    if name in _MILLIONS and text:
        return f"{float(text) / 1e6:.2f}"
    return f"{float(text):.6g}" if text and name != "error" else text


def _chart(rows: Sequence[Row], metric: str) -> Chart:
    scored = [row for row in rows if not metric or row.get(metric)]
    what = f"{metric} (%)" if metric else "counted MACs, in multiples of the base's"
    values = [100 * float(r[metric]) if metric else float(r["times"]) for r in scored]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(row["alpha"]) for row in scored],
        "y": [float(row["beta"]) for row in scored],
        "text": [f"gamma {float(row['gamma']):g}" for row in scored],
        "marker": {
            "size": 16,
            "color": values,
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": what, "side": "right"}},
        },
        "customdata": values,
        "hovertemplate": "alpha %{x}, beta %{y}, %{text}<br>%{customdata:.4g}<extra></extra>",
    }
    return Chart(
        traces=(trace,),
        layout=axes("alpha (depth)", "beta (width)"),
        text=f"Colour: {what}. Points of one alpha and beta, which differ in gamma, coincide.",
        height=440,
    )


def _network(here: Path) -> Part:
    heading = "The best network"
    if not (here / SCALED).is_file():
        return Part(heading=heading)
    try:
        return network_part(load_architecture(here / SCALED), heading=heading)
    except NasError as error:
        return Part(heading=heading, texts=(f"not drawn: {error}",))
