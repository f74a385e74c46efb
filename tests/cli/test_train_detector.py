"""`nas train` and `nas eval` on images with boxes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("faster_coco_eval")
pytest.importorskip("matplotlib")

from detectors import tiny_detector

from nas.core.data import to_yaml
from nas.network.blocks import to_mapping

pytestmark = pytest.mark.torch

Nas = Callable[..., Any]
DATA = ("--data", "digits_scenes:images=16,classes=2")


@pytest.fixture
def arch() -> str:
    Path("mine.yaml").write_text(to_yaml(to_mapping(tiny_detector(side=32))))
    return "mine.yaml"


def test_a_detector_is_trained_drawn_and_scored(nas: Nas, arch: str) -> None:
    words = ("train", arch, *DATA, "--epochs", "2", "--batch", "8", "--out", "run")
    reply = nas(*words)
    assert reply.code == 0, reply.err
    first, rest = reply.out.split(", ", 1)
    assert first.startswith("map 0.")
    assert rest.startswith("map50 0.")
    assert "picture: run/predictions.png" in reply.err
    assert Path("run/predictions.png").stat().st_size > 10_000
    again = json.loads(nas(*words, "--json").out)
    assert "top1" not in again
    assert again["map"] == max(line["map"] for line in again["history"])
    assert again["map50"] == again["history"][again["best_epoch"] - 1]["map50"]
    assert f"map: {100 * again['map']:.2f} %" in nas("status", "run").out

    table = nas("eval", "run", *DATA, "--picture", "found.png")
    assert table.code == 0, table.err
    assert table.out.startswith(f"map {again['map']:.4f}, map50 {again['map50']:.4f}, loss ")
    assert "class  objects  map %  map50 %" in table.out
    assert Path("found.png").is_file()
    scored = json.loads(nas("eval", "run", *DATA, "--split", "test", "--json").out)
    assert scored["images"] == 8
    assert [one["name"] for one in scored["classes"]] == ["0", "1"]
    assert set(scored["by_area"]) == {"small", "medium", "large"}


def test_data_of_another_task_are_one_line(nas: Nas, arch: str) -> None:
    reply = nas("train", arch, "--data", "digits", "--out", "run")
    assert (reply.code, reply.out) == (2, "")
    assert "digits has labels of whole images; a detector needs boxes" in reply.err
    reply = nas("train", "mobilenet_v2", *DATA, "--out", "run")
    assert reply.code == 2
    assert "has boxes; a classifier needs a label for each image" in reply.err
    assert not Path("run").exists()


def test_a_training_without_a_picture_is_a_result(
    nas: Nas, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.report.detection_plots.draw_examples", fail)
    reply = nas("train", arch, *DATA, "--epochs", "1", "--out", "run")
    assert reply.code == 0
    assert reply.out.startswith("map 0.")
    assert "without the picture of what it finds: No space left on device" in reply.err
