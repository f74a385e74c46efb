"""Folders of images: layouts, kinds of pictures, bad files, and error messages."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from nas.core.errors import BadFile, BadValue, NasError  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.datasets._pictures import FORMATS, check_image, square  # noqa: E402

pytestmark = pytest.mark.torch

COLOURS = ("red", "green", "blue", "yellow")


def _save(path: Path, colour: str = "red", size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with ten images each, and files that are no images."""
    for name, colour in (("ants", "red"), ("bees", "blue")):
        for number in range(10):
            _save(tmp_path / name / "deeper" / f"{number}.png", colour, (10 + number, 12))
    (tmp_path / "ants" / "readme.txt").write_text("not an image")
    (tmp_path / "ants" / ".hidden.png").write_bytes(b"corrupt")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    return tmp_path


def _sizes(data: Data) -> tuple[int, int, int | None]:
    return len(data.train), len(data.val), None if data.test is None else len(data.test)


def test_class_folders_are_split_by_seed(folder: Path) -> None:
    data, other = load_data(f"imagefolder:{folder}"), load_data(f"imagefolder:{folder}", seed=1)
    assert data.classes == ("ants", "bees")
    assert _sizes(data) == (16, 4, None)
    assert list(np.bincount(data.val.labels)) == [2, 2]
    assert data.mean == pytest.approx((0.5, 0, 0.5))
    assert data.deviation[0] == pytest.approx(0.5)
    assert data.notes == ("skipped files that are no images of a known kind (1): 1 .txt",)
    assert data.fingerprint == load_data(f"imagefolder:{folder},check=header").fingerprint
    assert data.fingerprint != other.fingerprint
    pixels = data.val.read(np.arange(4), 16)
    assert (pixels[:, 0, 0, 0] == np.where(data.val.labels == 0, 255, 0)).all()


def test_shares_of_validation_and_test_are_options(folder: Path) -> None:
    assert _sizes(load_data(f"imagefolder:{folder},val=0.3,test=0.1")) == (12, 6, 2)
    with pytest.raises(NasError, match="there are no images in val"):
        load_data(f"imagefolder:{folder},val=0")
    with pytest.raises(BadValue, match="shares of a split"):
        load_data(f"imagefolder:{folder},val=1")


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        (("train", "val"), (4, 4, None)),
        (("Train", "VALIDATION", "test"), (4, 4, 4)),
        (("train", "test"), (2, 2, 4)),
        (("train",), (2, 2, None)),
    ],
)
def test_folders_of_splits_are_found(
    folders: tuple[str, ...], sizes: tuple[int, int, int | None], tmp_path: Path
) -> None:
    for split in folders:
        for name in ("a", "b"):
            for number in range(2):
                _save(tmp_path / split / name / f"{number}.jpg")
    assert _sizes(load_data(f"imagefolder:{tmp_path}")) == sizes


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "train", "val"):
        for number in range(5):
            _save(tmp_path / name / f"{number}.bmp")
    assert load_data(f"imagefolder:{tmp_path}").classes == ("bus", "train", "val")


def test_the_fingerprint_is_of_content_not_of_place(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "copy"
    moved.mkdir(parents=True)
    for name in ("ants", "bees"):
        (folder / name).rename(moved / name)
    before = load_data(f"imagefolder:{moved}").fingerprint
    (moved / "ants" / "deeper").rename(moved / "ants" / "other")
    assert load_data(f"imagefolder:{moved}").fingerprint != before


def _empty(folder: Path) -> Path:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    return folder


def _loose(folder: Path) -> Path:
    _save(folder / "1.png")
    return folder


def _one(folder: Path) -> Path:
    _save(folder / "a" / "1.png")
    _save(folder / "a" / "2.png")
    return folder


def _too_deep(folder: Path) -> Path:
    _save(folder / "photos" / "train" / "a" / "1.png")
    return folder


def _file(folder: Path) -> Path:
    _save(folder / "1.png")
    return folder / "1.png"


def _only_val(folder: Path) -> Path:
    _save(folder / "val" / "a" / "1.png")
    return folder


def _no_training_images(folder: Path) -> Path:
    _save(folder / "train" / "a" / "1.png")
    _save(folder / "train" / "a" / "2.png")
    _save(folder / "val" / "a" / "1.png")
    (folder / "train" / "b").mkdir()
    return folder


def _new_in_val(folder: Path) -> Path:
    for name in ("train/a", "train/b", "val/a", "val/c"):
        _save(folder / name / "1.png")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "found nothing; expected a folder for each class, with its images"),
        (_empty, r"no images \(.jpg, .jpeg, .jfif, .png, .apng ...\) in its 2 folders"),
        (_loose, "found 1 images, but no folders; expected a folder for each class"),
        (_one, r"imagefolder: found one class only \(a\); a classifier needs"),
        (_too_deep, r"found one class only \(photos\), and in it train/; did you mean .*photos\?"),
        (_file, "1.png: Not a directory; expected a folder with a folder for each class"),
        (_only_val, "found val/ but no train/ with folders of classes in it"),
        (_no_training_images, "imagefolder: no training images of b; add some, or remove the"),
        (_new_in_val, "val/c: class c has no training images; found the classes a, b"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match=message) as caught:
        load_data(f"imagefolder:{make(tmp_path)}")
    assert "\n" not in str(caught.value)


def _truncate(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def _noise(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_bad_images_are_named_and_skipped(folder: Path) -> None:
    _noise(folder / "ants" / "cut.jpg")
    _truncate(folder / "ants" / "cut.jpg")
    (folder / "bees" / "empty.png").touch()
    (folder / "bees" / "text.gif").write_text("hello")
    (folder / "bees" / "gone.webp").symlink_to(folder / "nowhere")
    before = load_data(f"imagefolder:{folder}")
    assert _sizes(before) == (16, 4, None)
    _, note = before.notes
    assert note.startswith("skipped corrupt images (4): ants/cut.jpg: image file is truncated")
    assert "bees/empty.png: no image" in note
    assert note.endswith(" and 1 more")


def test_too_many_bad_images_are_an_error(folder: Path) -> None:
    for number in range(3):
        (folder / "ants" / f"{number}.png").write_bytes(b"")
    with pytest.raises(
        BadFile, match=r"3 of the first 23 images .* the 2 that max_bad allows: ants"
    ):
        load_data(f"imagefolder:{folder},max_bad=2")
    assert load_data(f"imagefolder:{folder},max_bad=3").notes
    for option in ("max_bad=-2", "check=none"):
        with pytest.raises(BadValue, match=option.partition("=")[0]):
            load_data(f"imagefolder:{folder},{option}")


def test_an_image_that_breaks_later_is_named(folder: Path) -> None:
    data = load_data(f"imagefolder:{folder},cache=0")
    for file in folder.rglob("ants/deeper/*.png"):
        file.write_bytes(b"")
    with pytest.raises(BadFile, match=r"deeper/\d.png: no image; it seemed readable before"):
        data.train.read(np.arange(len(data.train)), 8)


def test_headers_alone_do_not_show_what_is_cut_off(folder: Path) -> None:
    _noise(folder / "ants" / "cut.jpg")
    _truncate(folder / "ants" / "cut.jpg")
    text = f"imagefolder:{folder},check=header"
    with pytest.raises(BadFile, match=r"cut.jpg: image file is truncated .* check=full finds"):
        load_data(text).train.read(np.arange(17), 8)


def _mean(path: Path) -> list[int]:
    return [round(value) for value in square(path, 8).reshape(3, -1).mean(axis=1)]


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (10, 200, 30), "png", [10, 200, 30]),
        ("L", 77, "jpg", [77, 77, 77]),
        ("1", 1, "png", [255, 255, 255]),
        ("LA", (100, 0), "png", [255, 255, 255]),
        ("RGBA", (0, 0, 255, 0), "png", [255, 255, 255]),
        ("RGBA", (0, 0, 200, 255), "webp", [0, 0, 200]),
        ("CMYK", (0, 255, 255, 0), "jpg", [254, 0, 0]),
        ("CMYK", (0, 255, 255, 0), "tif", [255, 0, 0]),
        ("I;16", 32896, "png", [128, 128, 128]),
        ("F", 0.5, "tif", [128, 128, 128]),
        ("I", 65535, "tif", [255, 255, 255]),
        ("HSV", None, "png", None),
        ("YCbCr", (128, 128, 128), "jpg", [128, 128, 128]),
    ],
)
def test_every_mode_becomes_red_green_blue(
    mode: str, colour: object, suffix: str, expected: list[int] | None, tmp_path: Path
) -> None:
    if expected is None:
        return  # no file format stores this mode
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (13, 9), colour).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.abs(np.subtract(_mean(path), expected)).max() <= 2


def test_palettes_and_animations_are_read(tmp_path: Path) -> None:
    frames = [Image.new("P", (10, 10)) for _ in COLOURS]
    for frame, colour in zip(frames, COLOURS, strict=True):
        frame.putpalette(list(Image.new("RGB", (1, 1), colour).getpixel((0, 0))) * 256)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert _mean(tmp_path / "a.gif") == [255, 0, 0]
    palette = Image.new("P", (10, 10), 3)
    palette.putpalette([9, 8, 7] * 256)
    palette.save(tmp_path / "clear.png", transparency=bytes([255, 255, 255, 0]))
    assert _mean(tmp_path / "clear.png") == [255, 255, 255]
    palette.save(tmp_path / "plain.png")
    assert _mean(tmp_path / "plain.png") == [9, 8, 7]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_followed(orientation: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    pixels = np.random.default_rng(1).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((24, 16), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "turned.png"))
    upright.info.pop("exif", None)
    Image.fromarray(np.asarray(upright)).save(tmp_path / "upright.png")
    assert (square(tmp_path / "turned.png", 16) == square(tmp_path / "upright.png", 16)).all()


@pytest.mark.parametrize(("width", "height"), [(100, 40), (40, 100), (41, 41)])
def test_the_middle_of_the_shorter_side_is_taken(width: int, height: int, tmp_path: Path) -> None:
    image = Image.new("RGB", (width, height), "black")
    left, top = (width - min(width, height)) // 2, (height - min(width, height)) // 2
    image.paste("white", (left, top, left + min(width, height), top + min(width, height)))
    image.save(tmp_path / "image.png")
    assert square(tmp_path / "image.png", 20)[:, 1:-1, 1:-1].min() == 255
    assert square(tmp_path / "image.png", 20).min() > 200  # the edge is smoothed


def test_large_photographs_keep_their_picture(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 640).round().astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (480, 640))).save(tmp_path / "ramp.jpg", quality=95)
    pixels = square(tmp_path / "ramp.jpg", 24)[0, 12].astype(int)
    assert np.abs(pixels - np.linspace(36, 219, 24)).max() < 4


def test_programs_are_not_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "drawing.eps")
    (tmp_path / "drawing.eps").rename(tmp_path / "drawing.jpg")
    with pytest.raises(OSError, match="cannot identify image file"):
        square(tmp_path / "drawing.jpg", 8)


@pytest.mark.parametrize("kind", FORMATS)
def test_corrupt_bytes_raise_nothing_but_notes(kind: str) -> None:
    random = np.random.default_rng(0)
    file = io.BytesIO()
    pixels = random.integers(0, 255, (24, 28, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    content = np.frombuffer(file.getvalue(), np.uint8)
    assert check_image(content.tobytes(), "full").problem == ""
    for number in range(250):
        corrupt, count = content.copy(), 1 + number % 6
        reach = len(content) if number % 2 else min(len(content), 120)  # damage headers more often
        corrupt[random.integers(0, reach, count)] = random.integers(0, 256, count)
        cut = random.integers(1, len(content)) if number % 5 == 0 else len(content)
        assert "\n" not in check_image(corrupt[:cut].tobytes(), "full").problem
