"""Pictures of tables: complete or absent, and the same bytes for the same table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import BadFile, NasError
from nas.latency.file import load_table
from nas.latency.provenance import Validation
from nas.latency.table import LatencyTable

pytest.importorskip("matplotlib")
from matplotlib.axes import Axes  # noqa: TID253  # skipped without it
from matplotlib.figure import Figure  # noqa: TID253  # as above
from matplotlib.text import Annotation, Text  # noqa: TID253  # as above

from nas.report import latency_plots
from nas.report.latency_plots import draw_validation

NAMED = {"mobilenet_v2": (9.1, 9.0), "mnasnet_a1": (9.0, 9.1), "mnasnet_b1": (8.9, 9.0),
         "mobilenet_v3_large": (7.4, 7.3), "single_path_nas": (9.2, 9.1)}  # fmt: skip
RANDOM = {f"network {i}": (4.0 + i, 4.1 + 0.99 * i) for i in range(40)}


def _table(points: dict[str, tuple[float, float]]) -> LatencyTable:
    proof = Validation(
        bias=-0.012, mape=0.021, worst=0.062, within_5=0.91, within_10=0.99, kendall_tau=0.9,
        noise_floor=0.017, noise_worst=0.03, speed=1.0, date="2026-11-22", points=points,
    )  # fmt: skip
    return replace(load_table("pixel1"), validation=proof)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png", "a.svg", "b.svg")]
    draw_validation(_table({**RANDOM, **NAMED}), paths[::2])
    draw_validation(_table({**RANDOM, **NAMED}), paths[1::2])
    png, same_png, svg, same_svg = (path.read_bytes() for path in paths)
    assert png == same_png
    assert svg == same_svg
    assert png.startswith(b"\x89PNG")
    assert svg.startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in paths)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts in pictures as they are drawn."""
    found: list[str] = []
    written = Text.draw

    def draw(text: Text, renderer: object) -> None:
        found.append(text.get_text())
        written(text, renderer)  # type: ignore[arg-type]

    monkeypatch.setattr(Text, "draw", draw)
    return found


def test_title_and_box_tell_the_table_and_its_figures(tmp_path: Path, texts: list[str]) -> None:
    table = _table({**RANDOM, **NAMED})
    draw_validation(table, [tmp_path / "a.svg"])
    shown = "\n".join(texts)
    assert table.heading in " ".join(shown.split())
    for words in ("45 networks, 2026-11-22", "bias -1.2 %", "mean error 2.1 %, worst 6.2 %",
                  "twice: 1.7 %", "within 5 %: 91 %", "within 10 %: 99 %"):  # fmt: skip
        assert words in shown


def test_networks_with_names_are_labelled_apart_and_random_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[Annotation] = []
    place = latency_plots.place

    def seen(found: list[Annotation], figure: Figure, *given: object, **named: object) -> None:
        place(found, figure, *given, **named)  # type: ignore[arg-type]
        labels.extend(found)
        for one in found:
            x, y = figure.axes[0].transData.transform(one.xy)
            box = Text.get_window_extent(one)
            assert np.hypot(x - np.clip(x, box.x0, box.x1), y - np.clip(y, box.y0, box.y1)) < 60

    monkeypatch.setattr(latency_plots, "place", seen)
    draw_validation(_table({**RANDOM, **NAMED}), [tmp_path / "a.png"])
    assert [label.get_text() for label in labels] == list(NAMED)
    boxes = [Text.get_window_extent(label) for label in labels]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize(("factor", "scale"), [(1.5, "linear"), (9.0, "log")])
def test_axes_are_logarithmic_where_the_range_is_wide(
    factor: float, scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Axes] = []
    scatter = Axes.scatter

    def seen(axes: Axes, *given: object, **named: object) -> object:
        drawn.append(axes)
        return scatter(axes, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "scatter", seen)
    draw_validation(_table({"network 0": (5.0, 5.0), "x": (5.0 * factor, 5.0 * factor)}),
                    [tmp_path / "a.png"])  # fmt: skip
    assert {(axes.get_xscale(), axes.get_yscale()) for axes in drawn} == {(scale, scale)}
    assert drawn[0].get_xlim() == drawn[0].get_ylim()


def test_nothing_to_draw_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="pixel1 was not validated; nas latency validate does it"):
        draw_validation(load_table("pixel1"), [tmp_path / "a.png"])
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_is_named() -> None:
    with pytest.raises(BadFile, match=r"/proc/a\.png cannot be written"):
        draw_validation(_table(NAMED), [Path("/proc/a.png")])
