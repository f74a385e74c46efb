"""The picture of a scaling search."""

from math import nan
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from nas.network.zoo import load_architecture
from nas.report.scale_plots import draw_grid
from nas.scaling.grid import Budget, grid
from nas.scaling.search import GridScorer, Scored

BASE, BUDGET = load_architecture("mobilenet_v2"), Budget(step=0.1)


def draw(rows: list[Scored], scorer: GridScorer, path: Path) -> str:
    draw_grid(rows, BASE, BUDGET, scorer, [path])
    return path.read_text()


def test_the_picture_has_a_mark_for_every_point_and_a_ring_for_the_best(tmp_path: Path) -> None:
    rows = [Scored(point=point, score=i / 100) for i, point in enumerate(grid(BASE, BUDGET))]
    rows[-1] = Scored(point=rows[-1].point, score=nan, error="no such luck")
    text = draw(rows, GridScorer(metric="top1_proxy"), tmp_path / "a.svg")
    assert "<!-- best -->" in text
    assert "<!-- failed -->" in text
    assert "<!-- top1_proxy (%) -->" in text
    for row in rows:
        assert f"<!-- {row.point.by.gamma:g} -->" in text
    assert draw(rows, GridScorer(metric="top1_proxy"), tmp_path / "b.svg") == text


def test_without_an_accuracy_it_shows_the_counted_costs(tmp_path: Path) -> None:
    rows = [Scored(point=point) for point in grid(BASE, BUDGET)]
    text = draw(rows, GridScorer(), tmp_path / "a.svg")
    assert "counted MACs, in multiples of the base's" in text
    assert "<!-- nearest to the budget -->" in text
