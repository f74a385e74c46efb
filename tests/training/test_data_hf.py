"""Datasets of Hugging Face on disk: columns by type, splits by name, all offline."""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

from PIL import Image  # noqa: E402, TID253  # there with datasets' own needs
from readers.mutate import MUTATIONS  # noqa: E402

from nas.core.errors import BadFile, NasError  # noqa: E402
from nas.training.data import load_data  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ["ant", "bee"]
COLOURS = ("red", "blue")


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the test's folder, stay offline, and draw no progress bars."""
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
    images = [good, {"bytes": b"corrupt", "path": None}, good, None, good]
    text = _save(tmp_path, train=_table([0, 1, 1, 0, 0], images=images), val=_table([0, 1]))
    data = load_data(text)
    assert data.train.labels.tolist() == [0, 1, 0]
    expected = "row 1 of train: no image; row 3 of train: there is no image in this row"
    assert data.notes == (f"skipped corrupt images (2): {expected}",)
    with pytest.raises(BadFile, match="more than the 1 that max_bad allows"):
        load_data(f"{text},max_bad=1")


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="hf:no/such_dataset_here cannot be loaded: ") as caught:
        load_data("hf:no/such_dataset_here")
    assert "\n" not in str(caught.value)
    with pytest.raises(NasError, match="expected a split train, found test"):
        load_data(_save(tmp_path, test=_table([0, 1])))


def _value(kind: str) -> Any:
    return datasets.Value(kind)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([0.5, 1.5, 0.5], _value("float32"), "column kind holds no classes, but float32"),
        ([[0], [1], [0]], datasets.Sequence(_value("int64")), "no classes, but (Sequence|List)"),
        ([None, None, None], _value("string"), "found no classes"),
        (["a", "b", "c"], _value("string"), "has another value in each of 3 rows, such as 'a'"),
        (["a", None, "b", "a"], _value("string"), "1 labels of train are outside of 0..1"),
        ([], None, r"cannot be loaded: .*; is it complete, and not empty\?"),
        ([0, 0, 0], datasets.ClassLabel(names=["x\x1b[31m", "y"]), r"no training images of y"),
        ([0, 0, 0], datasets.ClassLabel(names=["y", "x\x1b[31m"]), r"images of x\\x1b\[31m"),
        ([0, 1], datasets.ClassLabel(num_classes=3), "no training images of 2"),
    ],
)  # fmt: skip
def test_odd_labels_are_one_line(
    labels: list[Any], kind: Any, message: str, tmp_path: Path
) -> None:
    text = _save(tmp_path, train=_table(labels, kind=kind), val=_table(labels, kind=kind))
    with pytest.raises(NasError, match=message):
        load_data(f"{text},label=kind")


def test_labels_of_any_size_are_classes(tmp_path: Path) -> None:
    for kind, low, high in (("uint64", 0, 2**64 - 1), ("int64", -(2**63), 2**63 - 1)):
        table = _table([0, 1, 0, 1], kind=datasets.ClassLabel(names=CLASSES))
        table = table.remove_columns("kind").add_column(
            "kind", [low, high] * 2, feature=_value(kind)
        )
        table.save_to_disk(str(tmp_path / kind))
        data = load_data(f"hf:{tmp_path / kind},label=kind,val=0.5")
        assert data.classes == (str(low), str(high))


def test_columns_of_a_split_may_be_missing_or_of_another_type(tmp_path: Path) -> None:
    train, other = _table([0, 1] * 3), _table([0, 1] * 3)
    plain = other.cast_column("photo", datasets.Image(decode=False)).map(
        lambda row: {"photo": "a path"}, features=datasets.Features(
            {**other.features, "photo": _value("string")}))  # fmt: skip
    plain.save_to_disk(str(tmp_path / "paths"))
    with pytest.raises(
        NasError, match=r"found no Image column among id \(Value\), photo \(Value\)"
    ):
        load_data(f"hf:{tmp_path / 'paths'}")
    wide = train.add_column("photo2", train["id"])
    text = _save(tmp_path, train=wide.cast_column("id", _value("string")), val=train)
    assert len(load_data(text).val) == 6


def test_images_that_lie_elsewhere_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    paths = [{"path": str(tmp_path / name), "bytes": None} for name in ("no.png", "pipe.png")]
    good = {"bytes": _png("red"), "path": None}
    tables = datasets.DatasetDict(
        {"train": _table([0, 1, 0, 1], images=[good, good, *paths]), "val": _table([0, 1])}
    )
    monkeypatch.setattr("nas.training.datasets.hf._load", lambda path, config: tables)
    expected = "row 2 of train: No such file or directory; row 3 of train: the row names no file"
    assert load_data("hf:x").notes == (f"skipped corrupt images (2): {expected}",)


def test_damaged_folders_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    text = _save(tmp_path, train=_table([0, 1] * 3), val=_table([0, 1]))
    files = [path for path in sorted((tmp_path / "saved").rglob("*")) if path.is_file()]
    random = np.random.default_rng(0)
    for number in range(MUTATIONS):
        path = files[number % len(files)]
        content = path.read_bytes()
        changed = np.frombuffer(content, np.uint8).copy()
        at = random.integers(0, len(changed), 1 + number % 5)
        changed[at] = random.integers(0, 256, len(at))
        cut = random.integers(0, len(changed)) if number % 3 == 0 else len(changed)
        path.write_bytes(changed[:cut].tobytes())
        with suppress(NasError):  # whose messages are short and printable
            load_data(text)
        path.write_bytes(content)
    assert len(load_data(text).train) == 6
