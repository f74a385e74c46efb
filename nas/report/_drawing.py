"""What pictures share: style, reproducible files, and labels that do not overlap."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from nas.core.files import atomic_path
from nas.core.text import LONGEST_VALUE, printable

FOUND, KNOWN, GREY = "#1f6fb4", "#c8442c", "#555555"

_OFFSETS = ((6, -3), (-6, -3), (0, 7), (0, -12), (10, 9), (10, -15), (-10, 9), (-10, -15),
            (14, 19), (14, -25), (-14, 19), (-14, -25), (18, 29), (18, -35))  # fmt: skip
"""Places for a label beside its point, in typographic points, the best first."""

_POINTS = 72
"""Typographic points in an inch."""


@contextmanager
def drawing(paths: Sequence[Path], width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of this size in inches and its axes; then write PNG or SVG files.

    They have no date: the same picture gives the same bytes.

    Raises:
        BadFile: if a path cannot be written.
    """
    with mpl.rc_context({"svg.hashsalt": "nas", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)  # of which all texts are measured with one renderer
        yield figure, figure.add_subplot()
        arrange(figure)
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": "nas"}
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=160, metadata=metadata)


def arrange(figure: Figure) -> None:
    """Give the axes of a figure their places, once: the engine would again for every file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def plain(text: str) -> str:
    """Return a text for a picture: on one line, and without formulas."""
    return printable(text, LONGEST_VALUE).replace("$", "\\$")


def label(axes: Axes, text: str, point: tuple[float, float], *, color: str) -> Annotation:
    """Write `text` beside `point`; `place` finds a free place."""
    found = axes.annotate(
        plain(text),
        point,
        xytext=_OFFSETS[0],
        textcoords="offset points",
        fontsize=7,
        color=color,
    )
    found.set_in_layout(False)
    return found


def place(
    labels: Sequence[Annotation],
    figure: Figure,
    points: NDArray[np.float64],
    *,
    offsets: Sequence[tuple[int, int]] = _OFFSETS,
    axes: Axes | None = None,
) -> None:
    """Move every label to the first of `offsets` where it covers neither another nor a point.

    `points` are in the units of the `axes`, the figure's first ones by default, shape (n, 2). Where
    there is no such place, a label covers points. Thin lines lead from the labels to theirs.
    """
    arrange(figure)
    axes, renderer = axes or figure.axes[0], FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # of matplotlib
    for text in labels:
        text.update_positions(renderer)
    seen = axes.transData.transform(points)
    taken: list[Bbox] = []
    lines = []
    for text in sorted(labels, key=lambda text: -text.xy[1]):
        free = []
        boxes = _boxes(text, offsets, figure.dpi)
        for offset, box in boxes.items():
            inside = axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1)
            if inside and not any(box.overlaps(other) for other in taken):
                free.append((box.count_contains(seen), offset))
        _, offset = min(free, key=lambda place: place[0] > 0, default=(0, offsets[0]))
        _move(text, offset)
        box = boxes[offset]
        taken.append(box)
        end = axes.transData.transform(text.xy)
        lines.append([np.clip(end, box.min, box.max), end])
    ends = axes.transData.inverted().transform(np.reshape(lines, (-1, 2)))
    thin = LineCollection(
        list(ends.reshape(-1, 2, 2)), colors="#aaaaaa", linewidths=0.5, zorder=2.5
    )
    axes.add_collection(thin, autolim=False)


def _boxes(
    text: Annotation, offsets: Sequence[tuple[int, int]], dpi: float
) -> Mapping[tuple[int, int], Bbox]:
    """Return the box that the text of a label fills at each of `offsets`; it is measured once."""
    _move(text, offsets[0])
    box: Bbox = Text.get_window_extent(text)
    start, origin = np.array(offsets[0]), _aligned(offsets[0])
    found = {}
    for offset in offsets:
        right = (_aligned(offset) - origin) * box.width
        x, y = (np.array(offset) - start) * dpi / _POINTS
        found[offset] = box.translated(x - right, y)
    return found


def _move(text: Annotation, offset: tuple[int, int]) -> None:
    text.set_position(offset)
    text.set_horizontalalignment(
        "center" if not offset[0] else "left" if offset[0] > 0 else "right"
    )


def _aligned(offset: tuple[int, int]) -> float:
    """Return the share of a label's width that is left of its place."""
    return 0.5 if not offset[0] else 0.0 if offset[0] > 0 else 1.0


def set_log(axes: Axes, *, both: bool = False) -> None:
    """Make the horizontal axis logarithmic, or both, with plain numbers at few ticks."""
    for axis in (axes.xaxis, axes.yaxis) if both else (axes.xaxis,):
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
