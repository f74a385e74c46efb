"""Pictures: a front with the architectures that it is compared with."""

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from nas.report._drawing import FOUND, GREY, KNOWN, label, place, plain, save, set_log, style
from nas.searching.loop import Run
from nas.searching.solutions import FRACTIONS, Member

_WIDE = 1.5
"""References slower than this times the slowest member are left out, to keep the front readable."""


def draw_front(run: Run, references: Sequence[Member], paths: Sequence[Path]) -> None:
    """Draw accuracy against latency for a run's front, into PNG or SVG files.

    References that the space contains are filled, at the accuracy that the run's own judge gives.
    For the others there is only a published accuracy, of another training: where the run's metric
    is not the published scale they are drawn hollow, at the baseline's accuracy plus the
    difference between the published numbers.
    """
    with style():
        figure = Figure(figsize=(8.4, 5.4), layout="constrained")
        axes = figure.add_subplot()
        _draw_members(axes, run)
        labels = _draw_references(axes, run, references)
        _describe_axes(axes, run)
        figure.draw_without_rendering()
        front = [(m.latency.ms, _scale(run) * (m.accuracy or 0.0)) for m in run.members]
        place(labels, axes, np.array(front))
        save(figure, paths)


def _scale(run: Run) -> float:
    """Return what accuracies are drawn in: per cent, or as they are."""
    return 100.0 if run.setup.accuracy in FRACTIONS else 1.0


def _draw_members(axes: Axes, run: Run) -> None:
    members = sorted(run.members, key=lambda member: member.latency.ms)
    ms, scale = [m.latency.ms for m in members], _scale(run)
    heights = [scale * (m.accuracy or 0.0) for m in members]
    deviation = [scale * (m.deviation or 0.0) for m in members]
    if any(deviation):
        low = [y - d for y, d in zip(heights, deviation, strict=True)]
        high = [y + d for y, d in zip(heights, deviation, strict=True)]
        text = "one deviation of the accuracy model"
        axes.fill_between(ms, low, high, color=FOUND, alpha=0.18, linewidth=0, label=text)
    text = f"found: {len(members)} architectures"
    axes.plot(ms, heights, ".-", color=FOUND, linewidth=1, markersize=3.5, label=text)


def _draw_references(axes: Axes, run: Run, references: Sequence[Member]) -> list[Annotation]:
    end = _WIDE * max((m.latency.ms for m in run.members), default=1.0)
    near = [r for r in references if r.latency.ms <= end]
    known = [(r, r.accuracy) for r in near if r.accuracy is not None]
    other = [(r, y) for r in near if r.accuracy is None and (y := _height(run, r)) is not None]
    labels, scale = [], _scale(run)
    for rows, face, edge, text in (
        (known, KNOWN, KNOWN, "known architectures, judged like the found ones"),
        (other, "white", GREY, "others: published accuracy" + _relative_to(run)),
    ):
        if rows:
            ms, heights = [r.latency.ms for r, _ in rows], [scale * y for _, y in rows]
            axes.scatter(ms, heights, s=34, zorder=3, facecolors=face, edgecolors=edge, label=text)
        for r, y in rows:
            labels.append(label(axes, r.name, (r.latency.ms, scale * y), color=edge))
    return labels


def _relative_to(run: Run) -> str:
    if run.setup.accuracy == "top1" or not run.baseline:
        return ""
    return f" relative to {run.baseline.name}'s"


def _height(run: Run, member: Member) -> float | None:
    """Return where a reference that the space lacks stands on the axis of the run's metric."""
    if run.setup.accuracy not in FRACTIONS:
        return None  # published accuracies say nothing on such a scale
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
    set_log(axes)
    note = "\n".join(textwrap.wrap(run.setup.judge.note, 150))
    axes.set_xlabel(f"predicted latency on {table.device}, {table.runtime} (ms)")
    axes.annotate(note, (0, -36), xycoords="axes points", fontsize=7, va="top", color="#555555")
    fraction = run.setup.accuracy in FRACTIONS
    axes.set_ylabel(run.setup.accuracy + (" (%)" if fraction else ""))
    axes.set_title(plain(f"{run.setup.space.name}: the front of {len(run.trials):,} candidates"))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    if base and base.accuracy is not None:
        zero = _scale(run) * base.accuracy
        functions = (partial(np.add, -zero), partial(np.add, zero))
        side = axes.secondary_yaxis("right", functions=functions)
        side.set_ylabel(f"difference to {base.name}" + (" (points)" if fraction else ""))
