"""Charts of a few forms, as plotly's traces and layouts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.report.page import Chart

COLOURS = ("#3d85c6", "#d0603a", "#2c9a6a", "#8a63c4", "#b58a1b", "#8a94a3")
GREY = "#8a94a3"
_WIDE, _LEAST = 4, 1e-12
_FEW = 12
Pairs = Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]]
Points = Mapping[str, Mapping[str, tuple[float, float]]]


def line(lines: Pairs, *, x: str, y: str, text: str = "", height: int = 320) -> Chart:
    """Return lines by their names, each as (x, y); None leaves a gap."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(xs) < 200 else "lines",
            "name": name,
            "x": list(xs),
            "y": list(ys),
            "line": {"color": COLOURS[i % len(COLOURS)], "width": 1.6},
            "marker": {"size": 6 if len(xs) < 30 else 4},
            "hovertemplate": "%{x}: %{y:.6g}<extra>%{fullData.name}</extra>",
            "showlegend": len(lines) > 1,
        }
        for i, (name, (xs, ys)) in enumerate(lines.items())
    ]
    layout = axes(x, y)
    along = [value for xs, _ in lines.values() for value in xs if value is not None]
    if along and all(isinstance(one, int) for one in along) and max(along) - min(along) < _FEW:
        layout["xaxis"] |= {"dtick": 1}
    return Chart(traces=tuple(traces), layout=layout, text=text, height=height)


def axes(x: str, y: str, **more: Any) -> dict[str, Any]:
    """Return a layout with these titles of the axes."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}, **more}


def scatter(groups: Points, *, text: str) -> Chart:
    """Return predicted against measured milliseconds, with the diagonal and 10 % around it.

    Each group has (predicted, measured) by the name of the network.
    """
    pairs = np.array([pair for group in groups.values() for pair in group.values()])
    low, high = 0.92 * float(pairs.min()), 1.08 * float(pairs.max())
    wide = high / low > _WIDE and low > 0
    way = np.geomspace(low, high, 60) if wide else np.linspace(low, high, 60)
    traces = [
        _band(way.tolist(), 1.1, None),
        _band(way.tolist(), 0.9, "tonexty"),
        _diagonal([low, high]),
    ]
    for i, (name, group) in enumerate(groups.items()):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [measured for _, measured in group.values()],
                "y": [predicted for predicted, _ in group.values()],
                "text": list(group),
                "marker": {"color": COLOURS[i], "size": 7},
                "hovertemplate": "<b>%{text}</b><br>measured %{x:.4g} ms<br>"
                "predicted %{y:.4g} ms<extra></extra>",
            }
        )
    kind = "log" if wide else "linear"
    layout = axes("measured (ms)", "predicted (ms)")
    layout["xaxis"] |= {"type": kind}
    layout["yaxis"] |= {"type": kind}
    return Chart(traces=tuple(traces), layout=layout, text=text, height=460)


def _band(way: list[float], share: float, fill: str | None) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": way,
        "y": [share * value for value in way],
        "line": {"width": 0},
        "fill": fill or "none",
        "fillcolor": "rgba(138,148,163,.22)",
        "hoverinfo": "skip",
        "name": "within 10 %",
        "showlegend": fill is not None,
    }


def _diagonal(ends: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "line": {"color": GREY, "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def bars(
    values: Mapping[str, float], *, x: str, colours: Sequence[str] | None = None, text: str = ""
) -> Chart:
    """Return horizontal bars on a logarithmic scale by their names, the first at the top."""
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(values),
        "x": [max(value, _LEAST) for value in values.values()],
        "marker": {"color": list(colours or [COLOURS[0]] * len(values))},
        "hovertemplate": "<b>%{y}</b><br>%{x:.4g}<extra></extra>",
    }
    layout = axes(x, "", yaxis={"autorange": "reversed", "tickfont": {"size": 10}})
    layout["xaxis"] |= {"type": "log", "exponentformat": "power"}
    return Chart(traces=(trace,), layout=layout, text=text, height=120 + 16 * len(values))
