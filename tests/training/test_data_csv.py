"""CSV files of labels: columns, paths, splits, and errors that name the line."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from readers.mutate import MUTATIONS  # noqa: E402

from nas.core.errors import BadFile, NasError  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.datasets._labels import Columns, read_labels  # noqa: E402

pytestmark = pytest.mark.torch

COLOURS = {"cat": "red", "dog": "blue"}
PAIRS = [(f"{name}{number}.png", name) for number in range(5) for name in COLOURS]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes lines to a CSV beside images of five cats and five dogs."""
    for image, label in PAIRS:
        Image.new("RGB", (9, 9), COLOURS[label]).save(tmp_path / image)

    def written(*lines: str, name: str = "labels.csv") -> Path:
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return written


def _plain(header: str = "image,label") -> list[str]:
    return [header, *(",".join(pair) for pair in PAIRS)]


def _sizes(data: Data) -> tuple[int, int, int | None]:
    return len(data.train), len(data.val), None if data.test is None else len(data.test)


def test_images_get_the_labels_of_their_lines(write: Callable[..., Path]) -> None:
    data = load_data(f"csv:{write(*_plain())}")
    assert data.classes == ("cat", "dog")
    assert _sizes(data) == (8, 2, None)
    assert data.notes == ()
    pixels = data.train.read(np.arange(8), 8)
    assert (pixels[:, 0, 4, 4] == np.where(data.train.labels == 0, 255, 0)).all()
    assert _sizes(load_data(f"csv:{write(*_plain())},val=0.4,test=0.2")) == (4, 4, 2)


def test_the_same_images_in_folders_are_the_same_data(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for name in COLOURS:
        (tmp_path / "folders" / name).mkdir(parents=True)
    for image, label in PAIRS:
        (tmp_path / image).rename(tmp_path / "folders" / label / image)
    lines = ["image,label", *sorted(f"folders/{label}/{image},{label}" for image, label in PAIRS)]
    one, other = load_data(f"csv:{write(*lines)}"), load_data(f"imagefolder:{tmp_path / 'folders'}")
    for part in ("train", "val"):
        mine, theirs = getattr(one, part), getattr(other, part)
        rows = np.arange(len(mine))
        assert (mine.labels == theirs.labels).all()
        assert (mine.read(rows, 8) == theirs.read(rows, 8)).all()
    assert (one.mean, one.deviation, one.classes) == (other.mean, other.deviation, other.classes)


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("filename,class", ""),
        (" Image_Path , LABEL ", ""),
        ("photo,kind", ",image=photo,label=kind"),
        ("image,label,file,target", ",image=image,label=label"),
        ("my photo,kind", ',image="my photo",label=kind'),
    ],
)
def test_columns_are_found_or_named(header: str, options: str, write: Callable[..., Path]) -> None:
    more = "," * (header.count(",") - 1)
    lines = [header, *(f"{image},{label}{more}" for image, label in PAIRS)]
    assert _sizes(load_data(f"csv:{write(*lines)}{options}")) == (8, 2, None)


@pytest.mark.parametrize(
    ("mark", "options"),
    [(";", ""), ("\t", ""), ("|", ""), ("#", ",delimiter=#"), ("\t", ",delimiter=tab")],
)
def test_fields_may_have_another_delimiter(
    mark: str, options: str, write: Callable[..., Path]
) -> None:
    lines = [line.replace(",", mark) for line in _plain()]
    assert _sizes(load_data(f"csv:{write(*lines)}{options}")) == (8, 2, None)


def test_quotes_marks_of_order_and_other_line_ends_are_read(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "cat0.png").rename(tmp_path / 'a,"b".png')
    lines = ["image,label", '"a,""b"".png",cat', *_plain()[2:]]
    path = write(*lines)
    before = load_data(f"csv:{path}").fingerprint
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_data(f"csv:{path}").fingerprint == before


def test_splits_may_have_a_column(write: Callable[..., Path]) -> None:
    names = ["train"] * 4 + ["Validation"] * 2 + ["test"] * 4
    lines = ["image,label,split", *(f"{i},{c},{s}" for (i, c), s in zip(PAIRS, names, strict=True))]
    assert _sizes(load_data(f"csv:{write(*lines)}")) == (4, 2, 4)
    lines[0] = "image,label,part"
    assert _sizes(load_data(f"csv:{write(*lines)}")) == (8, 2, None)
    assert _sizes(load_data(f"csv:{write(*lines)},split=part")) == (4, 2, 4)


def test_paths_are_relative_to_the_file_or_to_a_folder(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for image, _ in PAIRS:
        (tmp_path / image).rename(tmp_path / "images" / image)
    path = write(*_plain())
    with pytest.raises(BadFile, match=r"10 of 10 images are not in .*: cat0.png \(line 2\), dog0"):
        load_data(f"csv:{path}")
    assert _sizes(load_data(f"csv:{path},root={tmp_path / 'images'}")) == (8, 2, None)
    beyond = [f"{tmp_path / 'images' / image},{label}" for image, label in PAIRS]
    assert _sizes(load_data(f"csv:{write('image,label', *beyond)}")) == (8, 2, None)


def test_labels_that_are_numbers_are_in_their_order(write: Callable[..., Path]) -> None:
    lines = [f"{image},{10 if label == 'cat' else 9}" for image, label in PAIRS]
    assert load_data(f"csv:{write('image,label', *lines)}").classes == ("9", "10")


def test_missing_and_bad_images_and_repeats_are_counted(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    os.mkfifo(tmp_path / "pipe.png")
    path = write(*_plain(), "gone.png,cat", "", "pipe.png,dog", "bad.png,cat", "cat0.png,cat")
    assert load_data(f"csv:{path}").notes == (
        "skipped lines that repeat another (1)",
        "skipped images that are missing (2): gone.png (line 12), pipe.png (line 14)",
        "skipped corrupt images (1): bad.png: no image",
    )
    with pytest.raises(BadFile, match=r"2 of 13 images are not in .*: gone.png \(line 12\)"):
        load_data(f"csv:{path},max_bad=1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "labels.csv, line 1: found none of , ; | and tab"),
        (["image,label"], "there are no images in it, but only names of columns"),
        (["image,label;x"], "line 1: found several of , ; | and tab"),
        (["cat0.png,cat"], "line 1: found no column for the image among cat0.png, cat; say which"),
        (["image,file,label"], "line 1: found several columns for the image among image, file, la"),
        (["image,kind", "cat0.png,cat"], "found no column for the label among image, kind"),
        (["image,label", "cat0.png"], "line 2: found 1 fields, expected 2"),
        (["image,label", "", "cat0.png,cat,3"], "line 3: found 3 fields, expected 2"),
        (["image,label", "cat0.png, "], "line 2: the label is missing"),
        (["image,label", ",cat"], "line 2: the image is missing"),
        (["image,label", 'cat0.png,"cat'], "line 2: unexpected end of data"),
        (["image,label", 'cat0.png,"cat"s'], "line 2: ',' expected after '\"'"),
        (["image,label", "a\0b.png,cat"], "line 2: 'a\\x00b.png' is no name of a file"),
        (["image,label,split", "cat0.png,cat,tran"], "line 2: the split is 'tran'; expected train"),
        (["image,label,split", "cat0.png,cat,"], "line 2: the split is ''; expected train, val or"),
        (["image,label,split", "cat0.png,cat,val"], "no line is for training; expected train in"),
        (["image,label", "cat0.png,cat", "cat0.png,dog"], "line 3: cat0.png is 'dog' in train her"),
        (
            ["image,label,split", "cat0.png,cat,train", "cat0.png,cat,val"],
            "line 3: cat0.png is 'cat' in val here, and 'cat' in train in line 2",
        ),
        (["image,label", "cat0.png,0.1", "cat1.png,0.2", "cat2.png,0.3"], "has a label of its own"),
        (["image,label", "cat0.png,cat", "cat1.png,cat"], "csv: found one class only (cat)"),
        (["image,label", "x" * 140_000 + ",cat"], "line 2: field larger than field limit"),
    ],
)
def test_what_is_odd_is_refused_with_its_line(
    lines: list[str], message: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(NasError) as caught:
        load_data(f"csv:{write(*lines)}")
    assert message in str(caught.value)


def test_what_is_no_csv_is_one_line(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(*_plain())
    path.write_bytes(b"image,label\n\xff\xfe,cat\n")
    with pytest.raises(BadFile, match=r"labels.csv, line 2: this is no text in UTF-8"):
        load_data(f"csv:{path}")
    with pytest.raises(BadFile, match=r"is a folder; expected a CSV file, as in csv:.*/labels.csv"):
        load_data(f"csv:{tmp_path}")
    with pytest.raises(BadFile, match=r"none.csv: No such file or directory"):
        load_data(f"csv:{tmp_path / 'none.csv'}")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BadFile, match=r"pipe.csv is no file"):
        load_data(f"csv:{tmp_path / 'pipe.csv'}")
    with pytest.raises(NasError, match="unknown column 'lable'; did you mean label"):
        load_data(f"csv:{write(*_plain())},label=lable")
    with pytest.raises(NasError, match="delimiter must be one character, or tab, not 'ab'"):
        load_data(f"csv:{write(*_plain())},delimiter=ab")


def test_mutated_files_are_read_or_refused_in_one_line(write: Callable[..., Path]) -> None:
    path = write("image,label,split", *(f"{image},{label},train" for image, label in PAIRS))
    content = np.frombuffer(path.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    marks = np.frombuffer(b',"\n\r\0;\t\x1b\xff/.', np.uint8)
    columns = Columns(image="", label="", split="", delimiter="")
    for number in range(5 * MUTATIONS):
        changed = content.copy()
        at = random.integers(0, len(content), 1 + number % 4)
        changed[at] = random.choice(marks, len(at))
        path.write_bytes(changed.tobytes())
        with suppress(NasError):  # whose messages are short and printable
            read_labels(path, columns, folder=path.parent, max_bad=10)
