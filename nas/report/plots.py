"""Pictures: a front with the architectures that it is compared with."""

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox

from nas.data import atomic_path
from nas.members import Member
from nas.searching import Run

_FOUND, _KNOWN, _PUBLISHED = "#1f6fb4", "#c8442c", "#555555"
_WIDE = 1.5
"""References slower than this times the slowest member are left out, to keep the front readable."""

_OFFSETS = ((6, -3), (-6, -3), (0, 7), (0, -12), (10, 9), (10, -15), (-10, 9), (-10, -15),
            (14, 19), (14, -25), (-14, 19), (-14, -25), (18, 29), (18, -35))  # fmt: skip
"""Where a label may stand beside its point, in typographic points, the best place first."""


def draw_front(run: Run, references: Sequence[Member], paths: Sequence[Path]) -> None:
    """Draw accuracy against latency for a run's front, into PNG or SVG files.

    References that the space contains are filled, at the accuracy that the run's own judge gives.
    For the others there is only a published accuracy, of another training: where the run's metric
    is not the published scale they are drawn hollow, at the baseline's accuracy plus the
    difference between the published numbers.
    """
    with mpl.rc_context({"svg.hashsalt": "nas", "font.size": 9}):
        figure = Figure(figsize=(8.4, 5.4), layout="constrained")
        axes = figure.add_subplot()
        _draw_members(axes, run)
        labels = _draw_references(axes, run, references)
        _describe_axes(axes, run)
        figure.draw_without_rendering()
        _place(labels, axes, run.members)
        for path in paths:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=160, metadata=_metadata(path))


def _metadata(path: Path) -> dict[str, str | None]:
    """Leave the date out of the file, so that the same run draws the same bytes."""
    return {"Date": None} if path.suffix == ".svg" else {"Software": "nas"}


def _draw_members(axes: Axes, run: Run) -> None:
    members = sorted(run.members, key=lambda member: member.latency.ms)
    ms = [m.latency.ms for m in members]
    percent = [100 * (m.accuracy or 0.0) for m in members]
    deviation = [100 * (m.deviation or 0.0) for m in members]
    if any(deviation):
        low = [p - d for p, d in zip(percent, deviation, strict=True)]
        high = [p + d for p, d in zip(percent, deviation, strict=True)]
        label = "one deviation of the accuracy model"
        axes.fill_between(ms, low, high, color=_FOUND, alpha=0.18, linewidth=0, label=label)
    label = f"found: {len(members)} architectures"
    axes.plot(ms, percent, ".-", color=_FOUND, linewidth=1, markersize=3.5, label=label)


def _draw_references(axes: Axes, run: Run, references: Sequence[Member]) -> list[Annotation]:
    end = _WIDE * max((m.latency.ms for m in run.members), default=1.0)
    near = [r for r in references if r.latency.ms <= end]
    known = [(r, r.accuracy) for r in near if r.accuracy is not None]
    other = [(r, y) for r in near if r.accuracy is None and (y := _height(run, r)) is not None]
    labels = []
    for rows, face, edge, label in (
        (known, _KNOWN, _KNOWN, "known architectures, judged like the found ones"),
        (other, "white", _PUBLISHED, "others: published accuracy" + _relative_to(run)),
    ):
        if rows:
            ms, percent = [r.latency.ms for r, _ in rows], [100 * y for _, y in rows]
            axes.scatter(ms, percent, s=34, zorder=3, facecolors=face, edgecolors=edge, label=label)
        for r, y in rows:
            labels.append(
                axes.annotate(
                    r.name,
                    (r.latency.ms, 100 * y),
                    xytext=_OFFSETS[0],
                    textcoords="offset points",
                    fontsize=7,
                    color=edge,
                    arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.5},
                )
            )
    return labels


def _relative_to(run: Run) -> str:
    if run.setup.accuracy == "top1" or not run.baseline:
        return ""
    return f" relative to {run.baseline.name}'s"


def _height(run: Run, member: Member) -> float | None:
    """Return where a reference that the space lacks stands on the axis of the run's metric."""
    if member.published is None or run.setup.accuracy == "top1":
        return member.published
    base = run.baseline
    if base is None or base.accuracy is None or base.published is None:
        return None
    return base.accuracy + member.published - base.published


def _describe_axes(axes: Axes, run: Run) -> None:
    table, base = run.setup.table, run.baseline
    for limit in run.setup.problem.limits:
        if limit.metric == "latency_ms":
            axes.axvline(limit.value, color="#999999", linestyle="--", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    note = "\n".join(textwrap.wrap(run.setup.judge.note, 150))
    axes.set_xlabel(f"predicted latency on {table.device}, {table.runtime} (ms)")
    axes.annotate(note, (0, -36), xycoords="axes points", fontsize=7, va="top", color="#555555")
    axes.set_ylabel(f"{run.setup.accuracy} (%)")
    axes.set_title(f"{run.setup.space.name}: the front of {len(run.trials):,} candidates")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    if base and base.accuracy is not None:
        zero = 100 * base.accuracy
        functions = (partial(np.add, -zero), partial(np.add, zero))
        side = axes.secondary_yaxis("right", functions=functions)
        side.set_ylabel(f"difference to {base.name} (points)")


def _place(labels: Sequence[Annotation], axes: Axes, members: Sequence[Member]) -> None:
    """Move every label to the first place where it covers neither another one nor the front.

    Where there is none, it covers the front.
    """
    front = axes.transData.transform([(m.latency.ms, 100 * (m.accuracy or 0.0)) for m in members])
    taken: list[Bbox] = []
    for label in sorted(labels, key=lambda text: -text.xy[1]):
        free = []
        for offset in _OFFSETS:
            box = _moved(label, offset)
            if axes.bbox.containsx(box.x1) and not any(box.overlaps(other) for other in taken):
                free.append((box.count_contains(front), offset))
        _, offset = min(free, key=lambda place: place[0] > 0, default=(0, _OFFSETS[0]))
        taken.append(_moved(label, offset))


def _moved(label: Annotation, offset: tuple[int, int]) -> Bbox:
    """Move a label, and return the box that its text then fills."""
    label.set_position(offset)
    label.set_horizontalalignment(
        "center" if not offset[0] else "left" if offset[0] > 0 else "right"
    )
    box: Bbox = Text.get_window_extent(label)
    return box
