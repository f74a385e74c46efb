"""Pictures: complete or absent, and the same bytes for the same run."""

from pathlib import Path

import pytest
from small_search import search

from nas.core.errors import BadFile
from nas.searching.loop import Run
from nas.searching.solutions import known_solutions

pytest.importorskip("matplotlib")
from nas.report.objective_plots import draw_pair, pairs_of
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


def test_a_front_without_references_or_baseline_is_drawn(tmp_path: Path, fakes_path: Path) -> None:
    tiny = search(
        space=str(fakes_path / "tiny.yaml"),
        evaluator="fakes.plain",
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


def test_the_axes_of_a_picture_are_the_objectives(tmp_path: Path) -> None:
    run = search(trials=60, strategy="random", objective=("max:top1_proxy", "min:macs"))
    assert pairs_of(run) == (("macs", "top1_proxy"),)
    draw_front(run, known_solutions(run.setup), [tmp_path / "front.svg"])
    text = (tmp_path / "front.svg").read_text()
    for shown in ("MACs (millions)", "top1_proxy (%)", f"found: {len(run.solutions)} arch"):
        assert f"<!-- {shown}" in text
    assert "predicted latency" not in text


def test_three_objectives_have_a_panel_for_each_pair(tmp_path: Path) -> None:
    wanted = ("max:top1_proxy", "min:latency_ms", "min:params")
    run = search(trials=60, strategy="random", objective=wanted, limit="latency_ms<=140")
    pairs = pairs_of(run)
    assert set(pairs) == {
        ("latency_ms", "top1_proxy"), ("params", "top1_proxy"), ("latency_ms", "params")
    }  # fmt: skip
    draw_front(run, known_solutions(run.setup), [tmp_path / "a.png", tmp_path / "b.svg"])
    assert (tmp_path / "b.svg").read_text().count(f"found: {len(run.solutions)} arch") == 3
    from matplotlib.figure import Figure

    figure = Figure()
    labels = draw_pair(figure.add_subplot(), run, known_solutions(run.setup), pairs[0])
    (line,) = (line for line in figure.axes[0].lines if line.get_label().startswith("found"))
    assert sorted(line.get_xdata()) == sorted(s.latency.ms for s in run.solutions)
    assert line.get_linestyle() == "None"
    assert "efficientnet_b0" in [label.get_text() for label in labels]


def test_accuracy_and_latency_keep_their_picture(run: Run) -> None:
    assert pairs_of(run) == ()
    assert pairs_of(search(trials=20, strategy="random", reward="target=80")) == ()
