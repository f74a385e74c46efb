"""Scoring a scaling grid by trainings: the notes on the scores."""

import re
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.workers.runner import make_runner
from nas.network.cost import cost
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.scaling.grid import Budget, grid
from nas.scaling.search import search
from nas.scaling.training import TrainingSettings, by_training
from nas.training.task import for_classes

pytestmark = pytest.mark.torch


def test_costs_as_trained_are_reported_where_pixels_are_rounded_again(tmp_path: Path) -> None:
    base = for_classes(load_architecture("mobilenet_v2@0.35-96"), 10)
    points = grid(base, Budget(step=0.2))
    settings = TrainingSettings(data="digits", epochs=1, resolution=32)
    scorer = by_training(base, points, settings, runner=SimpleNamespace(workers=1), folder=tmp_path)
    trained = [
        cost(scale_resolution(p.arch, round(p.arch.resolution * 32 / 96))).macs for p in points
    ]
    start = cost(scale_resolution(base, 32)).macs
    least, most = (f"{end(trained) / start:.2f}" for end in (min, max))
    assert f"as trained, the counted MACs are {least} to {most} times" in scorer.note
    assert re.search(r"after 1 epoch of recipe auto, the base at 32 px", scorer.note)


def test_detectors_are_compared_by_their_average_precision(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    base = load_architecture("ssdlite:mobilenet_v2@0.35")
    budget = Budget(step=0.2, tolerance=0.3)
    points = grid(base, budget)[:1]
    settings = TrainingSettings(data="digits_scenes:images=10,classes=3", epochs=1, resolution=64)
    with closing(make_runner("local", workers=1)) as runner:
        scorer = by_training(base, points, settings, runner=runner, folder=tmp_path)
        rows = search(base, budget, points, scorer, out=tmp_path)
    assert scorer.metric == "map_proxy"
    assert scorer.note.startswith("map_proxy is the average precision on digits_scenes:images=10")
    assert [row.error for row in rows] == [""] * len(points)
    assert all(0 <= row.score <= 1 for row in rows)
    assert ",map_proxy," in (tmp_path / "grid.csv").read_text()
