"""Reading a tree of folders: nothing hidden, nothing twice, and the rest is reported."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from nas.core.errors import BadFile  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402

pytestmark = pytest.mark.torch


def _save(path: Path, count: int = 3) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (9, 9), "red").save(path / f"{number}.png")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Three cats, and three dogs, one of them in a deeper folder."""
    _save(tmp_path / "pets" / "cat")
    _save(tmp_path / "pets" / "dog", 2)
    _save(tmp_path / "pets" / "dog" / "young", 1)
    return tmp_path / "pets"


def _counts(data: Data) -> list[int]:
    labels = [*data.train.labels, *data.val.labels]
    return [labels.count(label) for label in range(len(data.classes))]


def _load(folder: Path, options: str = "") -> Data:
    return load_data(f"imagefolder:{folder}{options}")


def test_hidden_folders_are_left_out_at_any_depth(pets: Path) -> None:
    for name in ("cat/.ipynb_checkpoints", "cat/__MACOSX", "dog/young/.Trash-0/files", ".git"):
        _save(pets / name, 2)
    (pets / "cat" / ".empty").mkdir()
    data = _load(pets)
    assert data.classes == ("cat", "dog")
    assert _counts(data) == [3, 3]
    (note,) = data.notes
    assert note.startswith("skipped images in hidden folders (8): .git, ")
    assert note.endswith(" and 1 more")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("cat/up", ".."),
        ("cat/self", "."),
        ("cat/far", "../.."),
        ("cat/other", "../dog"),
        ("cat/a", "../dog/young"),  # found before it is found in its own place
        ("cat/outside", "../../more/back"),
        ("all", "."),
        ("dogs", "dog"),
    ],
)
def test_no_link_leads_to_a_folder_twice(link: str, target: str, pets: Path) -> None:
    (pets.parent / "more").mkdir()
    (pets.parent / "more" / "back").symlink_to(pets)
    (pets / link).symlink_to(target)
    data = _load(pets)
    assert data.classes == ("cat", "dog")
    assert _counts(data) == [3, 3]
    (note,) = data.notes
    assert note == (
        f"skipped folders that are read elsewhere, or that a link leads back to (1): {link}"
    )


def test_a_folder_elsewhere_is_read_once(pets: Path) -> None:
    _save(pets.parent / "elsewhere" / "deeper", 4)
    (pets.parent / "elsewhere" / "loop").symlink_to(".")
    (pets / "dog" / "more").symlink_to("../../elsewhere")
    assert _counts(_load(pets)) == [3, 7]
    (pets / "cat" / "more").symlink_to("../../elsewhere")
    data = _load(pets)
    assert sum(_counts(data)) == 10
    assert "skipped folders that are read elsewhere" in data.notes[0]
    (pets / "bird").symlink_to("../elsewhere")  # a class may be elsewhere
    assert _counts(_load(pets)) == [4, 3, 3]


def test_a_link_to_the_training_folder_is_no_validation_folder(tmp_path: Path) -> None:
    _save(tmp_path / "train" / "a")
    _save(tmp_path / "train" / "b")
    (tmp_path / "val").symlink_to("train")
    data = _load(tmp_path)
    assert (len(data.train), len(data.val)) == (4, 2)
    assert data.notes[0].endswith("leads back to (1): val")


def test_files_beside_the_classes_and_of_other_kinds_are_reported(pets: Path) -> None:
    for name in ("loose.png", "labels.csv", ".hidden"):
        (pets / name).touch()
    for name in ("cat/1.heic", "cat/2.HEIC", "cat/Thumbs.db", "dog/young/3.heic"):
        (pets / name).touch()
    os.mkfifo(pets / "cat" / "pipe.png")
    data = _load(pets)
    assert _counts(data) == [3, 3]
    assert data.notes == (
        "skipped files that lie in no class (2): labels.csv, loose.png",
        "skipped files that are no images of a known kind (5): 3 .heic, 1 .db, 1 .png",
    )


def _heic(pets: Path) -> None:
    (pets / "bird").mkdir()
    for name in ("1.heic", "2.heic", "notes.txt"):
        (pets / "bird" / name).touch()


def _flat_val(pets: Path) -> None:
    (pets / "train").mkdir()
    for name in ("cat", "dog"):
        (pets / name).rename(pets / "train" / name)
    _save(pets / "val", 5)


def _two_vals(pets: Path) -> None:
    _flat_val(pets)
    for name in ("val", "valid"):
        _save(pets / name / "cat", 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_heic, r"bird: class bird has no images of a known kind, but 2 .heic, 1 .txt; convert"),
        (_flat_val, r"val: found 5 images, but no folders of classes as in train/; sort them into"),
        (_two_vals, "found val/ and valid/, which are one split; leave one of them"),
    ],
)
def test_what_is_not_as_it_should_be_is_one_line(
    make: Callable[[Path], None], message: str, pets: Path
) -> None:
    make(pets)
    with pytest.raises(BadFile, match=message):
        _load(pets)


def test_only_images_of_unknown_kinds(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.heic").touch()
    with pytest.raises(BadFile, match=r"in its 2 folders; found 2 .heic, to be converted"):
        _load(tmp_path)


def test_a_flat_test_folder_and_others_are_not_used(pets: Path) -> None:
    _flat_val(pets)
    (pets / "val").rename(pets / "test")
    _save(pets / "extra" / "x")
    data = _load(pets)
    assert data.test is None
    assert data.notes == (
        "test/ has no folders of classes: its 5 images are not used",
        "skipped folders beside train/ (1): extra",
    )


def test_classes_that_differ_in_case_only_are_reported(pets: Path) -> None:
    if (pets / "CAT").exists():
        pytest.skip("names of files know no case here")
    _save(pets / "Cat")
    assert _load(pets).notes == ("classes differ in capital letters only: Cat and cat",)


def test_any_path_can_be_said(pets: Path) -> None:
    odd = pets.rename(pets.parent / 'a b,c=d:e "f"')
    said = str(odd).replace('"', '""')
    data = load_data(f'imagefolder:"{said}",val=0.4')
    assert (len(data.train), len(data.val)) == (4, 2)


def test_notes_are_logged_and_printable(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pets / "\x1b[31mred").touch()
    with caplog.at_level("INFO", logger="nas"):
        data = _load(pets)
    (record,) = caplog.records
    assert record.getMessage().endswith(data.notes[0])
    assert record.getMessage().isprintable()
