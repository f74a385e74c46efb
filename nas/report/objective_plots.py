"""Pictures of a front whose objectives are not accuracy and latency: a panel for each pair."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from nas.report._drawing import FOUND, GREY, KNOWN, drawing, label, place, plain, set_log
from nas.report.front import axes_of, axis_of
from nas.searching.loop import Run
from nas.searching.metrics import UPPER
from nas.searching.solutions import Solution

Pair = tuple[str, str]
"""The metrics on the axes of a panel: x and y."""
Places = list[tuple[float, float]]

_WIDTH, _HEIGHT = 4.6, 4.4
_ALONE = 8.4, 5.4
_WIDE = 1.5
"""Known architectures beyond this times the range of the front are left out."""
_MAX_PANELS = 6


def pairs_of(run: Run) -> tuple[Pair, ...]:
    """Return the metrics on the axes of each panel, none where the usual picture is of them.

    That is accuracy against latency: for objectives that are these, a bound or a reward of them.
    """
    accuracy = run.setup.accuracy
    usual = {accuracy, run.setup.guide, f"{accuracy}_lcb", "latency_ms", UPPER, "reward"}
    metrics = [objective.metric for objective in run.setup.problem.objectives]
    if set(metrics) <= usual:
        return ()
    shown = list(dict.fromkeys(accuracy if m == f"{accuracy}_lcb" else m for m in metrics))
    if len(shown) <= 2:
        return (axes_of(shown, accuracy),)
    return tuple(axes_of(pair, accuracy) for pair in combinations(shown, 2))[:_MAX_PANELS]


def draw_pairs(
    run: Run, known: Sequence[Solution], pairs: Sequence[Pair], paths: Sequence[Path]
) -> None:
    """Draw the front and all feasible trials for `pairs` of metrics, side by side.

    The front of more than two objectives is no line in a panel: a point that seems dominated there
    is better in another. Known architectures stand where their metrics are known.
    """
    width, height = _ALONE if len(pairs) == 1 else (_WIDTH * len(pairs), _HEIGHT)
    with drawing(paths, width, height) as (figure, first):
        first.remove()
        panels = figure.subplots(1, len(pairs), squeeze=False)[0]
        title = f"{run.setup.searched}: the front of {len(run.trials):,} candidates"
        figure.suptitle(plain(title), fontsize=10)
        drawn = zip(panels, pairs, strict=True)
        labels = [draw_pair(axes, run, known, pair) for axes, pair in drawn]
        for axes, own, pair in zip(panels, labels, pairs, strict=True):
            front = np.array(_places(run, run.solutions, pair))
            place(own, figure, front, axes=axes)


def draw_pair(axes: Axes, run: Run, known: Sequence[Solution], pair: Pair) -> list[Annotation]:
    """Draw two metrics of a run's front on `axes`, and return the labels of known networks."""
    _draw_trials(axes, run, pair)
    front = sorted(_places(run, run.solutions, pair))
    axes.plot(
        [at for at, _ in front],
        [at for _, at in front],
        ".-" if len(run.setup.problem.objectives) == 2 else ".",
        color=FOUND,
        linewidth=1,
        markersize=4,
        label=f"found: {len(front)} architectures",
    )
    labels = _draw_known(axes, run, known, pair)
    for limit in run.setup.problem.limits:
        if limit.metric in pair:
            draw = axes.axvline if limit.metric == pair[0] else axes.axhline
            draw(limit.value * _scale(limit.metric), color="#999999", linestyle="--", linewidth=0.8)
    axes.set(xlabel=plain(axis_of(pair[0])[0]), ylabel=plain(axis_of(pair[1])[0]))
    if pair[0] == "latency_ms":
        set_log(axes)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7)
    return labels


def _draw_trials(axes: Axes, run: Run, pair: Pair) -> None:
    metrics, ok = run.trials.metrics, run.trials.ok
    if set(pair) <= set(metrics):
        xs, ys = (_scale(metric) * metrics[metric][ok] for metric in pair)
        text = f"{int(ok.sum()):,} feasible trials"
        axes.scatter(xs, ys, s=3, color=GREY, alpha=0.25, linewidth=0, label=text, rasterized=True)


def _draw_known(axes: Axes, run: Run, known: Sequence[Solution], pair: Pair) -> list[Annotation]:
    """Draw the known architectures that are not far beyond the front."""
    front = _places(run, run.solutions, pair)
    ends = [_WIDE * max((at[i] for at in front), default=0.0) for i in (0, 1)]
    near = [
        (one, at)
        for one in known
        for at in _places(run, [one], pair)
        if at[0] <= ends[0] and at[1] <= ends[1]
    ]
    if not near:
        return []
    xs, ys = zip(*(at for _, at in near), strict=True)
    axes.scatter(xs, ys, s=26, zorder=3, color=KNOWN, label="known ones")
    return [label(axes, one.name, at, color=KNOWN) for one, at in near]


def _places(run: Run, solutions: Sequence[Solution], pair: Pair) -> Places:
    """Return the places of those solutions that have both metrics."""
    found = [(_value(run, one, pair[0]), _value(run, one, pair[1])) for one in solutions]
    return [(x, y) for x, y in found if x is not None and y is not None]


def _value(run: Run, solution: Solution, metric: str) -> float | None:
    """Return where a solution stands on the axis of a metric; None where that is not known."""
    found: float | None
    if metric == run.setup.accuracy:
        found = solution.accuracy
        if metric == "top1" and solution.published is not None:
            found = solution.published
    elif metric == "latency_ms":
        found = solution.latency.ms
    else:
        found = solution.metrics.get(metric)
    return None if found is None else _scale(metric) * found


def _scale(metric: str) -> float:
    return axis_of(metric)[1]
