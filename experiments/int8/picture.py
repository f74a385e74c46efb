"""Draw what int8 costs each network, by quantizer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_COLOURS = ("#1f6fb4", "#9aa0a6", "#bdc1c6", "#dadce0", "#5aa7e0", "#e8a33d")

_LEAST = -3.0
"""Bars below this many points are cut off and labelled with their value."""

Change = Callable[[dict[str, Any], str], tuple[float, float]]


def draw(records: Sequence[dict[str, Any]], change: Change, path: Path, data: str) -> None:
    """Draw the change of top-1 of every network and quantizer, in points."""
    ways = [way for way in records[0]["top1"] if "float" not in way]
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.82 / len(ways)
    for number, way in enumerate(ways):
        places = np.arange(len(records)) + (number - (len(ways) - 1) / 2) * width
        values = [change(record, way)[0] for record in records]
        axes.bar(places, values, 0.9 * width, label=way, color=_COLOURS[number])
        for place, value in zip(places, values, strict=True):
            if value < _LEAST:
                axes.text(place, _LEAST, f"{value:.0f}", ha="center", va="bottom", fontsize=6)
    axes.set_ylim(_LEAST, 1)
    axes.set_xticks(range(len(records)), [record["network"] for record in records], fontsize=8)
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set_ylabel("change of top-1 by int8, points")
    axes.set_title(f"int8 after training, {data}", fontsize=9)
    axes.legend(fontsize=7, frameon=False, ncols=3)
    axes.grid(alpha=0.25, axis="y")
    figure.savefig(path, dpi=130)
