"""Scoring a scaling grid by trainings: what is said beside the scores."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.network.cost import cost
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.scaling.grid import Budget, grid
from nas.scaling.training import Scheme, by_training
from nas.training.task import for_classes

pytestmark = pytest.mark.torch


def test_costs_as_trained_are_said_where_pixels_are_rounded_anew(tmp_path: Path) -> None:
    base = for_classes(load_architecture("mobilenet_v2@0.35-96"), 10)
    points = grid(base, Budget(step=0.2))
    scheme = Scheme(data="digits", epochs=1, resolution=32)
    judge = by_training(base, points, scheme, runner=SimpleNamespace(workers=1), folder=tmp_path)
    trained = [
        cost(scale_resolution(p.arch, round(p.arch.resolution * 32 / 96))).macs for p in points
    ]
    start = cost(scale_resolution(base, 32)).macs
    least, most = (f"{end(trained) / start:.2f}" for end in (min, max))
    assert f"as trained, the counted MACs are {least} to {most} times" in judge.note
    assert re.search(r"epochs of recipe auto, the base at 32 px", judge.note)
