"""Pictures of latency tables: predicted against measured latency."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import NDArray

from nas.core.errors import NasError
from nas.latency.measure.agreement import COUNTS, Agreement
from nas.latency.measure.estimates import Floats
from nas.latency.provenance import Validation
from nas.latency.table import LatencyTable
from nas.report._drawing import FOUND, GREY, KNOWN, drawing, label, place, plain, set_log

Points = Mapping[str, tuple[float, float]]
"""(predicted, measured) milliseconds by the name of the network."""

_RANDOM = "network "
"""How the names of random networks begin; all others are known by name."""

_BANDS = ((0.10, 0.10), (0.05, 0.18))
_WIDE_RANGE = 4
_MARGIN = 1.15
_OFFSETS = ((-8, 6), (8, -9), (-14, 15), (14, -18), (-22, 26), (22, -29), (-30, 38), (30, -41),
            (-8, -3), (8, -1), (-38, 50), (38, -53), (-46, 62), (46, -65))  # fmt: skip
"""Places for labels: beside the diagonal, further and further away."""


def draw_validation(table: LatencyTable, paths: Sequence[Path]) -> None:
    """Draw predicted against measured latency for the networks of a table's validation.

    Known architectures are labelled, random networks are dots.

    Raises:
        NasError: if the table was not validated.
        BadFile: if a path cannot be written.
    """
    validation = table.validation
    if validation is None:
        raise NasError(
            f"latency table {table.name} was not validated; nas latency validate does it"
        )
    with drawing(paths, 6.4, 6.2) as (figure, axes):
        labels = _draw_points(axes, validation.points)
        axes.set_title("\n".join(map(plain, textwrap.wrap(table.heading, 84))), fontsize=10)
        _box(axes, _facts(validation))
        axes.legend(loc="lower right", fontsize=8)
        pairs = _pairs(validation.points)
        diagonal = np.geomspace(*_ends(pairs), 300)[:, None].repeat(2, axis=1)
        place(labels, figure, np.concatenate([pairs, diagonal]), offsets=_OFFSETS)


def _facts(validation: Validation) -> tuple[str, ...]:
    return (
        f"{len(validation.points)} networks, {validation.date}",
        f"bias {100 * validation.bias:+.1f} %",
        f"mean error {100 * validation.mape:.1f} %, worst {100 * validation.worst:.1f} %",
        f"the same networks twice: {100 * validation.noise_floor:.1f} %",
        f"within 5 %: {100 * validation.within_5:.0f} % of them",
        f"within 10 %: {100 * validation.within_10:.0f} % of them",
    )


def _pairs(points: Points) -> NDArray[np.float64]:
    """Return measured and predicted milliseconds, shape (networks, 2)."""
    return np.array([(measured, predicted) for predicted, measured in points.values()])


def _ends(pairs: NDArray[np.float64]) -> tuple[float, float]:
    return float(pairs.min()) / _MARGIN, float(pairs.max()) * _MARGIN


def _draw_points(axes: Axes, points: Points) -> list[Annotation]:
    """Draw points, diagonal and bands on axes of one scale; return the labels."""
    low, high = _ends(_pairs(points))
    if high / low > _WIDE_RANGE * _MARGIN**2:
        set_log(axes, both=True)
    axes.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    axes.set(xlabel="measured (ms)", ylabel="predicted (ms)")
    axes.grid(alpha=0.25)
    line = np.geomspace(low, high, 100)
    for share, alpha in _BANDS:
        text = f"within {100 * share:.0f} %"
        axes.fill_between(line, line * (1 - share), line * (1 + share), color=GREY, alpha=alpha,
                          linewidth=0, label=text)  # fmt: skip
    axes.plot(line, line, color=GREY, linewidth=0.8)
    random = {name: point for name, point in points.items() if name.startswith(_RANDOM)}
    known = {name: point for name, point in points.items() if name not in random}
    for group, color, size, text in ((random, FOUND, 14, "random networks of the space"),
                                     (known, KNOWN, 26, "known architectures")):  # fmt: skip
        if group:
            measured, predicted = _pairs(group).T
            axes.scatter(measured, predicted, s=size, color=color, zorder=3, linewidth=0,
                         alpha=0.9, label=f"{len(group)} {text}")  # fmt: skip
    return [label(axes, name, (m, p), color=KNOWN) for name, (p, m) in known.items()]


def _box(axes: Axes, lines: Sequence[str]) -> None:
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8,
              bbox={"facecolor": "white", "edgecolor": "#cccccc", "alpha": 0.9})  # fmt: skip


def draw_agreement(found: Agreement, first: Floats, second: Floats, paths: Sequence[Path]) -> None:
    """Draw two latencies, or a count and a latency, of the same networks.

    Raises:
        BadFile: if a path cannot be written.
    """
    names = (found.first, found.second)
    units = [f"{name} ({'M' if name in COUNTS else 'ms'})" for name in names]
    with drawing(paths, 5.6, 5.2) as (_, axes):
        axes.scatter(first, second, s=9, color=FOUND, alpha=0.6, linewidths=0)
        set_log(axes, both=True)
        axes.grid(alpha=0.25)
        axes.set_xlabel(plain(units[0]))
        axes.set_ylabel(plain(units[1]))
        axes.set_title(f"{found.networks} random networks of {plain(found.space)}", fontsize=10)
        _box(
            axes,
            (
                f"Kendall's tau {found.tau:.3f}",
                f"mean error of a line {100 * found.scatter:.1f} %",
                f"worst {100 * found.worst:.1f} %",
            ),
        )
