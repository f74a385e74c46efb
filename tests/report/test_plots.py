"""Pictures: drawn whole or not at all, the same bytes for the same run."""

from pathlib import Path

import pytest
from small import search

from nas.core.errors import BadFile
from nas.searching.loop import Run
from nas.searching.solutions import known_solutions

pytest.importorskip("matplotlib")
from nas.report.plots import draw_front


@pytest.fixture(scope="module")
def run() -> Run:
    return search(trials=200, strategy="random", limit="latency_ms<=140")


def test_the_same_run_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    known = known_solutions(run.setup)
    paths = [tmp_path / name for name in ("a.png", "b.png", "a.svg", "b.svg")]
    draw_front(run, known, paths)
    png, same_png, svg, same_svg = (path.read_bytes() for path in paths)
    assert png == same_png
    assert svg == same_svg
    assert png.startswith(b"\x89PNG")
    assert svg.startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in paths)


def test_a_front_without_references_or_baseline_is_drawn(tmp_path: Path, judge_path: Path) -> None:
    tiny = search(
        space=str(judge_path / "tiny.yaml"),
        evaluator="judges.plain",
        strategy="random",
        trials=30,
        allow_extrapolation=True,
    )
    draw_front(tiny, (), [tmp_path / "front.svg"])
    assert (tmp_path / "front.svg").stat().st_size > 1000


def test_the_line_goes_from_the_fastest_to_the_slowest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[float]] = []
    monkeypatch.setattr("nas.report.plots.Axes.plot", lambda axes, x, *_, **__: drawn.append(x))
    by_reward = search(trials=100, strategy="random", reward="target=80")
    draw_front(by_reward, (), [tmp_path / "front.svg"])
    assert drawn == [sorted(solution.latency.ms for solution in by_reward.solutions)]


@pytest.mark.torch
def test_scores_are_drawn_as_they_are_and_beside_no_published_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    drawn: list[list[float]] = []
    monkeypatch.setattr("nas.report.plots.Axes.plot", lambda axes, x, y, *_, **__: drawn.append(y))
    run = search(evaluator="zero_cost:score=params,batch=2", trials=20, strategy="random")
    draw_front(run, known_solutions(run.setup), [tmp_path / "front.svg"])
    assert drawn == [[float(solution.params) for solution in run.solutions]]
    text = (tmp_path / "front.svg").read_text()
    assert "<!-- zero_cost -->" in text
    assert "<!-- efficientnet_b0 -->" in text
    assert "mobilenet_v2" not in text
    assert "points" not in text


def test_a_picture_that_cannot_be_written_is_named(run: Run) -> None:
    with pytest.raises(BadFile, match=r"/proc/front\.png cannot be written"):
        draw_front(run, (), [Path("/proc/front.png")])
