"""Pictures of a pruning: accuracy against latency by rounds, and channels before and after."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.checkpoint import metric_of
from nas.pruning.channels import groups
from nas.pruning.netadapt import Point, Result
from nas.report._drawing import FOUND, GREY, KNOWN, drawing, plain

_MIN_INCHES, _INCHES_A_GROUP = 3.0, 0.17


def draw_rounds(result: Result, table: LatencyTable, paths: Sequence[Path]) -> None:
    """Draw the accuracy of every round against its predicted latency, into PNG or SVG files.

    Networks between start and end had a short fine-tuning only; the end is drawn apart. The
    accuracies are on validation images, and on the hold-out images that judged the rounds.
    """
    with drawing(paths, 7.4, 4.8) as (figure, axes):
        rounds = [one.point for one in result.rounds]
        _line(axes, [result.start, *rounds])
        ends = [point for point in (result.start, result.best) if point.top1 is not None]
        axes.scatter(
            [point.latency_ms for point in ends],
            [100 * (point.top1 or 0.0) for point in ends],
            color=KNOWN,
            zorder=3,
            label="start, and end after the long fine-tuning (validation)",
        )
        axes.set_xlabel(f"predicted latency on {table.device}, {table.runtime} (ms)")
        axes.set_ylabel(f"{metric_of(result.arch)} (%)")
        axes.set_title(plain(f"{result.arch.name}, rounds of NetAdapt: {len(rounds)}"))
        axes.grid(alpha=0.25)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)


def _line(axes: Axes, points: Sequence[Point]) -> None:
    for name, colour, text in (
        ("top1", FOUND, "validation, after short fine-tuning"),
        ("held_out", GREY, "hold-out training images, which judge proposals"),
    ):
        known = [point for point in points if getattr(point, name) is not None]
        axes.plot(
            [point.latency_ms for point in known],
            [100 * getattr(point, name) for point in known],
            ".-",
            color=colour,
            linewidth=1,
            label=text,
        )


def draw_channels(before: Architecture, after: Architecture, paths: Sequence[Path]) -> None:
    """Draw the channels of every group before and after pruning, into PNG or SVG files."""
    old, new = groups(before), {group.name: group.width for group in groups(after)}
    height = max(_MIN_INCHES, 1.2 + _INCHES_A_GROUP * len(old))
    with drawing(paths, 7.4, height) as (figure, axes):
        rows = np.arange(len(old))
        axes.barh(
            rows, [g.width for g in old], color="#d0d0d0", label=plain(f"before: {before.name}")
        )
        left = [new.get(group.name, 1) for group in old]
        axes.barh(rows, left, height=0.5, color=FOUND, label="after")
        for row, group, width in zip(rows, old, left, strict=True):
            text = f" {width} of {group.width}" if width < group.width else f" {width}"
            axes.text(group.width, float(row), text, va="center", fontsize=6, color=GREY)
        axes.set_yticks(rows, [group.name for group in old], fontsize=6)
        axes.invert_yaxis()
        axes.margins(x=0.12, y=0.01)
        axes.set_xlabel("channels")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
