"""Columns of objects in datasets of Hugging Face: both layouts, categories of each kind."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

from annotated import HEIGHT, NAMES, SCENES, WIDTH, draw  # noqa: E402

from nas.core.errors import NasError  # noqa: E402
from nas.training.data import load_data  # noqa: E402

pytestmark = pytest.mark.torch

LABEL = datasets.ClassLabel(names=list(NAMES))
NUMBERS = datasets.Sequence(datasets.Value("float32"), 4)


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the test's folder, stay offline, and draw no progress bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def _saved(folder: Path, *, lists: bool, kind: Any, corners: bool = False) -> str:
    """Save the scenes, with a mapping of lists or a list of mappings for each."""
    fields = {"bbox": NUMBERS, "category": kind}
    feature = datasets.Sequence(fields) if lists else [fields]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "width": datasets.Value("int64"),
            "height": datasets.Value("int64"),
            "objects": feature,
        }
    )
    splits = {
        name: datasets.Dataset.from_list(
            [
                _row(folder, scene.boxes, lists=lists, kind=kind, corners=corners)
                for scene in SCENES
                if scene.split == split
            ],
            features=features,
        )
        for split, name in (("train", "train"), ("val", "validation"))
    }
    datasets.DatasetDict(splits).save_to_disk(str(folder / "saved"))
    return f"hf:{folder / 'saved'}"


def _row(folder: Path, boxes: Any, *, lists: bool, kind: Any, corners: bool) -> dict[str, Any]:
    draw(folder / "one.png", boxes)
    things = [
        {
            "bbox": [x, y, right, bottom] if corners else [x, y, right - x, bottom - y],
            "category": label if isinstance(kind, datasets.ClassLabel) else NAMES[label],
        }
        for label, x, y, right, bottom in boxes
    ]
    return {
        "image": {"bytes": io.BytesIO((folder / "one.png").read_bytes()).getvalue(), "path": None},
        "width": WIDTH,
        "height": HEIGHT,
        "objects": {key: [one[key] for one in things] for key in ("bbox", "category")}
        if lists
        else things,
    }


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("kind", [LABEL, datasets.Value("string")])
def test_objects_are_those_of_the_rows(lists: bool, kind: Any, tmp_path: Path) -> None:
    data = load_data(_saved(tmp_path, lists=lists, kind=kind))
    assert (data.task, data.classes) == ("detection", NAMES)
    train, val = data.train.labels, data.val.labels
    assert (train.counts.tolist(), val.counts.tolist()) == ([1, 2, 0, 1], [2])
    assert train.labels.tolist() == [0, 1, 0, 1]
    expected = [box[1:] for scene in SCENES[:4] for box in scene.boxes]
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    assert train.corners * scale == pytest.approx(np.array(expected, float), abs=1e-5)
    assert data.train.read(np.arange(4), 16).shape == (4, 3, 16, 16)


def test_corners_are_read_where_the_setting_says(tmp_path: Path) -> None:
    data = load_data(_saved(tmp_path, lists=True, kind=LABEL, corners=True) + ",boxes=xyxy")
    assert data.train.labels.corners[0] == pytest.approx([5 / 40, 2 / 20, 25 / 40, 12 / 20])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("objects=thing", "unknown column 'thing'"),
        ("objects=width", "column width holds no objects; expected fields such as bbox and cat"),
        ("boxes=no", "boxes must be xywh or xyxy, not 'no'"),
    ],
)
def test_wrong_options_are_refused(options: str, message: str, tmp_path: Path) -> None:
    text = _saved(tmp_path, lists=True, kind=LABEL)
    with pytest.raises(NasError, match=message):
        load_data(f"{text},{options}")
