"""Pictures: a front with the known architectures."""

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from nas.report._drawing import FOUND, GREY, KNOWN, drawing, label, place, plain, set_log
from nas.report.objective_plots import draw_pairs, pairs_of
from nas.searching.loop import Run
from nas.searching.metrics import FRACTIONS
from nas.searching.solutions import Solution
from nas.space.space import INT8

INT8_COLOUR = "#e08a1e"
_WIDE = 1.5
"""Known architectures slower than this times the slowest solution are left out."""
_FAST = 0.5
"""Solutions faster than this times the fastest known architecture are left out."""


def draw_front(run: Run, known: Sequence[Solution], paths: Sequence[Path]) -> None:
    """Draw accuracy against latency for a run's front, into PNG or SVG files.

    With other objectives these are on the axes, of more than two a panel for each pair.

    Known architectures in the space are filled, the others hollow. Where the run's metric is
    `top1`, all stand at their published accuracies. On another scale those in the space stand at
    the accuracy that the run's evaluator gives, the others at the baseline's plus the difference of
    the published ones. Solutions much faster than any of them are left out.
    """
    if pairs := pairs_of(run):
        draw_pairs(run, known, pairs, paths)
        return
    with drawing(paths, 8.4, 5.4) as (figure, axes):
        _draw_solutions(axes, run)
        labels = _draw_known(axes, run, known)
        _describe_axes(axes, run)
        _look_near(axes, run, known)
        front = [(s.latency.ms, _scale(run) * (s.accuracy or 0.0)) for s in run.solutions]
        place(labels, figure, np.array(front))


def _scale(run: Run) -> float:
    """Return what accuracies are drawn in: per cent, or as they are."""
    return 100.0 if run.setup.accuracy in FRACTIONS else 1.0


def _draw_solutions(axes: Axes, run: Run) -> None:
    solutions = sorted(run.solutions, key=lambda solution: solution.latency.ms)
    ms, scale = [s.latency.ms for s in solutions], _scale(run)
    heights = [scale * (s.accuracy or 0.0) for s in solutions]
    deviation = [scale * (s.deviation or 0.0) for s in solutions]
    if any(deviation):
        low = [y - d for y, d in zip(heights, deviation, strict=True)]
        high = [y + d for y, d in zip(heights, deviation, strict=True)]
        text = "one standard deviation of the accuracy model"
        axes.fill_between(ms, low, high, color=FOUND, alpha=0.18, linewidth=0, label=text)
    judged = [(s.latency.ms, scale * s.judged) for s in solutions if s.judged is not None]
    if judged:
        axes.plot(*zip(*judged, strict=True), ":", color=FOUND, linewidth=0.9, label="judged")
    text = f"found: {len(solutions)} architectures"
    axes.plot(ms, heights, ".-", color=FOUND, linewidth=1, markersize=3.5, label=text)
    whole = [(x, y) for x, y, s in zip(ms, heights, solutions, strict=True) if s.dtype == INT8]
    if whole and len(whole) < len(solutions):
        text = f"of these in int8: {len(whole)}"
        axes.plot(*zip(*whole, strict=True), "D", color=INT8_COLOUR, markersize=4, label=text)


def _draw_known(axes: Axes, run: Run, known: Sequence[Solution]) -> list[Annotation]:
    end = _WIDE * max((s.latency.ms for s in run.solutions), default=1.0)
    near = [r for r in known if r.latency.ms <= end]
    placed = [(r, y) for r in near if (y := _height(run, r)) is not None]
    inside = [(r, y) for r, y in placed if r.picks is not None]
    other = [(r, y) for r, y in placed if r.picks is None]
    same = run.setup.accuracy == "top1"
    labels, scale = [], _scale(run)
    for rows, face, edge, text in (
        (inside, KNOWN, KNOWN, "in the space, " + ("as published" if same else "predicted alike")),
        (other, "white", GREY, "other known ones, as published" + _relative_to(run)),
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


def _height(run: Run, solution: Solution) -> float | None:
    """Return where a known architecture stands on the axis of the run's metric."""
    if run.setup.accuracy == "top1" and solution.published is not None:
        return solution.published
    if solution.accuracy is not None or run.setup.accuracy not in FRACTIONS:
        return solution.accuracy  # published accuracies say nothing on such a scale
    if solution.published is None:
        return None
    base = run.baseline
    if base is None or base.accuracy is None or base.published is None:
        return None
    return base.accuracy + solution.published - base.published


def _look_near(axes: Axes, run: Run, known: Sequence[Solution]) -> None:
    """Leave out what is much faster than all known architectures, and not near any of them."""
    ms, scale = [s.latency.ms for s in run.solutions], _scale(run)
    first = _FAST * min((r.latency.ms for r in known), default=0.0)
    if not ms or not min(ms) < first < max(ms):
        return
    heights = [s.accuracy or 0.0 for s in run.solutions if s.latency.ms >= first]
    heights += [y for r in known if (y := _height(run, r)) is not None]
    low, high = scale * min(heights), max(axes.get_ylim())
    axes.set_xlim(left=first)
    axes.set_ylim(bottom=low - 0.05 * (high - low))


def _describe_axes(axes: Axes, run: Run) -> None:
    table, base = run.setup.table, run.baseline
    for limit in run.setup.problem.limits:
        if limit.metric == "latency_ms":
            axes.axvline(limit.value, color="#999999", linestyle="--", linewidth=0.8)
    set_log(axes)
    note = "\n".join(textwrap.wrap(run.setup.note.replace("\n", "; "), 150))
    dtypes = ", ".join(filter(None, run.setup.tables))
    what = f"{table.device}, {table.runtime}{f', {dtypes}' if dtypes else ''}"
    axes.set_xlabel(f"predicted latency on {what} (ms)")
    axes.annotate(note, (0, -36), xycoords="axes points", fontsize=7, va="top", color="#555555")
    fraction = run.setup.accuracy in FRACTIONS
    axes.set_ylabel(run.setup.accuracy + (" (%)" if fraction else ""))
    axes.set_title(plain(f"{run.setup.searched}: the front of {len(run.trials):,} candidates"))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    if base and (height := _height(run, base)) is not None:
        zero = _scale(run) * height
        functions = (partial(np.add, -zero), partial(np.add, zero))
        side = axes.secondary_yaxis("right", functions=functions)
        side.set_ylabel(f"difference to {base.name}" + (" (points)" if fraction else ""))
