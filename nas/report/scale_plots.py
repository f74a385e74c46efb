"""The picture of a scaling search: the grid over alpha and beta, coloured by accuracy."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.network.blocks import Architecture
from nas.report._drawing import GREY, KNOWN, drawing, plain
from nas.scaling.grid import Budget
from nas.scaling.search import GridScorer, Scored

Floats = NDArray[np.float64]

_AREA, _STEP = 300, 0.05
"""Size of points at this step of the grid; smaller on a finer one."""
_SPREAD = 0.5
"""Distance of points of one alpha and beta, in steps of the grid."""
_MEASURES = {"macs": "counted MACs", "latency": "latency", "formula": "MACs by the formula"}


def draw_grid(
    rows: Sequence[Scored],
    base: Architecture,
    budget: Budget,
    scorer: GridScorer,
    paths: Sequence[Path],
) -> None:
    """Draw the grid, the best first in `rows`, into PNG or SVG files.

    The colour is the accuracy, or without one the counted MACs in multiples of the base's. Gamma is
    written into each point; failed points are crosses.
    """
    with drawing(paths, 10, 6.4) as (figure, axes):
        axes.margins(0.08)
        values = np.array([_value(row, scorer) for row in rows])
        places = _places(rows, budget.step)
        area = _AREA * min(1.0, budget.step / _STEP) ** 2
        _draw_points(figure, axes, scorer, places=places, values=values, area=area)
        if budget.step >= _STEP / 2:
            _write_gammas(axes, rows, places, values)
        axes.set_xlabel("alpha (depth)")
        axes.set_ylabel("beta (width); the number in a point is gamma (resolution)")
        axes.set_title(
            f"{plain(base.name)}: {len(rows)} points within {budget.tolerance:g} of "
            f"{budget.factor:g} times the {_MEASURES[budget.by]}"
        )
        axes.grid(alpha=0.25)
        axes.legend(loc="upper right", fontsize=8)


def _places(rows: Sequence[Scored], step: float) -> Floats:
    """Return alpha and beta of each row, shape (n, 2), those of the same ones apart by gamma."""
    cells: dict[tuple[float, float], list[int]] = defaultdict(list)
    for i in sorted(range(len(rows)), key=lambda i: rows[i].point.by.gamma):
        cells[rows[i].point.by.alpha, rows[i].point.by.beta].append(i)
    places = np.zeros((len(rows), 2))
    for (alpha, beta), cell in cells.items():
        for rank, i in enumerate(cell):
            places[i] = alpha, beta + (rank - (len(cell) - 1) / 2) * _SPREAD * step
    return places


def _value(row: Scored, scorer: GridScorer) -> float:
    return 100 * row.score if scorer.metric else row.point.times


def _draw_points(
    figure: Figure, axes: Axes, scorer: GridScorer, *, places: Floats, values: Floats, area: float
) -> None:
    """Draw the points, a cross where one failed, and a ring around the first."""
    failed = np.isnan(values)
    x, y = places[~failed].T
    spots = axes.scatter(
        x, y, c=values[~failed], s=area, cmap="Blues", edgecolors=GREY, linewidths=0.5
    )
    what = f"{scorer.metric} (%)" if scorer.metric else "counted MACs, in multiples of the base's"
    figure.colorbar(spots, label=what)
    if failed.any():
        x, y = places[failed].T
        axes.scatter(x, y, marker="x", s=area / 3, color=KNOWN, label="failed")
    text = "best" if scorer.metric else "nearest to the budget"
    x, y = places[:1].T
    axes.scatter(
        x, y, s=1.6 * area, facecolors="none", edgecolors=KNOWN, linewidths=1.6, label=text
    )


def _write_gammas(axes: Axes, rows: Sequence[Scored], places: Floats, values: Floats) -> None:
    """Write gamma into every point, in white where the point is dark."""
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for row, (alpha, beta), value in zip(rows, places, values, strict=True):
        color = "white" if value > middle else "black"
        gamma = f"{row.point.by.gamma:g}"
        axes.annotate(gamma, (alpha, beta), ha="center", va="center", fontsize=5.5, color=color)
