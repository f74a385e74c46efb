"""Datasets of Hugging Face, from a disk: columns by type, splits by name, all without a network."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

from PIL import Image  # noqa: E402, TID253  # there with datasets' own needs

from nas.errors import BadFile, NasError  # noqa: E402
from nas.nn.data import load_data  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ["ant", "bee"]
COLOURS = ("red", "blue")


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the test's folder, stay off the network, draw no progress bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def _png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (14, 9), colour).save(file, "png")
    return file.getvalue()


def _table(labels: Sequence[Any], *, kind: Any = None, images: Any = None) -> Any:
    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "photo": datasets.Image(),
            "kind": kind or datasets.ClassLabel(names=CLASSES),
        }
    )
    numbers = [label if isinstance(label, int) else 0 for label in labels]
    stored = images or [{"bytes": _png(COLOURS[number % 2]), "path": None} for number in numbers]
    rows = {"id": list(range(len(labels))), "photo": stored, "kind": list(labels)}
    return datasets.Dataset.from_dict(rows, features=features)


def _save(where: Path, **splits: Any) -> str:
    datasets.DatasetDict(splits).save_to_disk(str(where / "saved"))
    return f"hf:{where / 'saved'}"


def test_columns_are_found_by_their_types(tmp_path: Path) -> None:
    text = _save(tmp_path, train=_table([0, 1] * 10), validation=_table([1, 0]), test=_table([1]))
    data = load_data(text)
    assert data.classes == ("ant", "bee")
    assert data.test is not None
    assert [len(data.train), len(data.val), len(data.test)] == [20, 2, 1]
    pixels = data.val.read(np.array([0, 1]), 10)
    assert pixels[:, :, 5, 5].tolist() == [[0, 0, 255], [255, 0, 0]]
    assert data.fingerprint == load_data(text, seed=1).fingerprint


def test_one_table_is_split_by_seed(tmp_path: Path) -> None:
    _table([0, 1] * 10).save_to_disk(str(tmp_path / "one"))
    data = load_data(f"hf:{tmp_path / 'one'},val=0.3")
    assert (len(data.train), len(data.val), data.test) == (14, 6, None)
    assert data.fingerprint != load_data(f"hf:{tmp_path / 'one'},val=0.3", seed=1).fingerprint


def test_plain_folders_go_through_the_library(tmp_path: Path) -> None:
    for name, colour in zip(CLASSES, COLOURS, strict=True):
        for split in ("train", "test"):
            (tmp_path / "plain" / split / name).mkdir(parents=True)
            for number in range(3):
                (tmp_path / "plain" / split / name / f"{number}.png").write_bytes(_png(colour))
    data = load_data(f"hf:{tmp_path / 'plain'},val=0.34")
    assert data.classes == ("ant", "bee")
    assert [len(data.train), len(data.val)] == [4, 2]
    assert data.val.read(np.arange(2), 8)[:, :, 4, 4].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_text_labels_are_classes_when_they_are_named(tmp_path: Path) -> None:
    kind = datasets.Value("string")
    text = _save(tmp_path, train=_table(["x", "y"] * 5, kind=kind), test=_table(["z"], kind=kind))
    with pytest.raises(NasError, match=r"no ClassLabel column among id \(Value\), photo \(Image\)"):
        load_data(text)
    with pytest.raises(NasError, match="unknown column 'knd'; did you mean kind"):
        load_data(f"{text},label=knd")
    with pytest.raises(NasError, match="column id of train holds no images"):
        load_data(f"{text},label=kind,image=id")
    with pytest.raises(NasError, match="column photo holds no classes, but Image"):
        load_data(f"{text},label=photo")
    data = load_data(f"{text},label=kind")
    assert data.classes == ("x", "y")
    assert data.notes == ("the test images have no labels: they are not used",)


def test_labels_of_another_order_go_by_their_names(tmp_path: Path) -> None:
    turned = _table([0, 0, 1], kind=datasets.ClassLabel(names=CLASSES[::-1]))
    data = load_data(_save(tmp_path, train=_table([0, 1] * 3), val=turned))
    assert data.val.labels.tolist() == [1, 1, 0]


def test_missing_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"2 labels of train are outside of 0..1, the first is -1"):
        load_data(_save(tmp_path, train=_table([0, 1, 0, 1, -1, None]), val=_table([0])))


def test_bad_images_are_skipped_by_row(tmp_path: Path) -> None:
    good = {"bytes": _png("red"), "path": None}
    images = [good, {"bytes": b"rotten", "path": None}, good, None, good]
    text = _save(tmp_path, train=_table([0, 1, 1, 0, 0], images=images), val=_table([0, 1]))
    data = load_data(text)
    assert data.train.labels.tolist() == [0, 1, 0]
    expected = "row 1 of train: no image; row 3 of train: there is no image in this row"
    assert data.notes == (f"skipped 2 corrupt images: {expected}",)
    with pytest.raises(BadFile, match="more than the 1 that max_bad allows"):
        load_data(f"{text},max_bad=1")


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="hf:no/such_dataset_here cannot be loaded: ") as caught:
        load_data("hf:no/such_dataset_here")
    assert "\n" not in str(caught.value)
    with pytest.raises(NasError, match="expected a split train, found test"):
        load_data(_save(tmp_path, test=_table([0, 1])))
