"""Images of more than 8 bits: their range is given by the file, the data set or the user."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from nas.core.errors import BadValue  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402

pytestmark = pytest.mark.torch


def _save(path: Path, value: float, kind: str = "u2", **tags: object) -> None:
    """Save an image of one value, with tags of TIFF by their numbers."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((9, 9), value, kind))
    info = ImageFileDirectory_v2()
    for name, number in tags.items():
        info[int(name[1:])] = number
    image.save(path, **({"tiffinfo": info} if tags else {}))


def _folder(root: Path, values: dict[str, float], kind: str = "u2", suffix: str = "png") -> Path:
    for name, value in values.items():
        for number in range(2):
            _save(root / name / f"{number}.{suffix}", value, kind)
    return root


def _brightness(data: Data) -> list[int]:
    """Return the value of each class."""
    pixels = data.train.read(np.arange(len(data.train)), 8)[:, 0, 4, 4]
    return [int(pixels[data.train.labels == label][0]) for label in range(len(data.classes))]


@pytest.mark.parametrize(
    ("kind", "suffix", "values", "white"),
    [
        ("u2", "png", (2048, 4000), 4095),
        ("u2", "tif", (2048, 4095), 4095),
        ("u2", "png", (200, 4096), 16383),
        ("u2", "png", (300, 60000), 65535),
        ("u2", "png", (7, 250), 255),
        ("i4", "tif", (700, 1000), 1023),
        ("i4", "tif", (70000, 2**23), 2**24 - 1),
        ("i4", "tif", (0, 1), 1),
        ("f4", "tif", (0.25, 0.75), 1),
        ("f4", "tif", (0.25, 200.0), 255),
        ("f4", "tif", (-3.0, 3000.0), 4095),
    ],
)
@pytest.mark.parametrize("check", ["full", "header"])
def test_the_data_set_decides_and_not_the_image(
    check: str, kind: str, suffix: str, values: tuple[float, float], white: float, tmp_path: Path
) -> None:
    folder = _folder(tmp_path, dict(zip("ab", values, strict=True)), kind, suffix)
    data = load_data(f"imagefolder:{folder},check={check},val=0.5")
    expected = [round(max(value, 0) / white * 255) for value in values]
    assert np.abs(np.subtract(_brightness(data), expected)).max() <= 1
    (note,) = data.notes
    assert f": {white} is taken for white, since the largest value in any of them is" in note


def test_a_given_depth_is_used(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"a": 100, "b": 4000})
    deep, found = (load_data(f"imagefolder:{folder}{more}") for more in (",depth=16", ""))
    assert _brightness(deep) == [0, 16]
    assert _brightness(found) == [6, 249]
    assert deep.notes == ()
    assert deep.fingerprint != found.fingerprint
    for depth in (-1, 33):
        with pytest.raises(BadValue, match="depth must be from 1 to 32 bits"):
            load_data(f"imagefolder:{folder},depth={depth}")


@pytest.mark.parametrize(("tags", "white"), [({"_281": 3210}, 4095), ({"_281": 60000}, 65535)])
def test_the_tags_of_a_file_count(tags: dict[str, int], white: int, tmp_path: Path) -> None:
    for name, value in (("a", 100), ("b", 2000)):
        for number in range(2):
            _save(tmp_path / name / f"{number}.tif", value, **tags)
    data = load_data(f"imagefolder:{tmp_path}")
    assert _brightness(data) == [round(value * 255 / white) for value in (100, 2000)]
    assert data.notes == ()


def test_values_that_are_scaled_when_they_are_read(tmp_path: Path) -> None:
    for name, value in (("a", 1024), ("b", 2048)):
        (tmp_path / name).mkdir()
        for number in range(2):
            content = b"P5 9 9 4095\n" + np.full(81, value, ">u2").tobytes()
            (tmp_path / name / f"{number}.pgm").write_bytes(content)
    data = load_data(f"imagefolder:{tmp_path}")
    assert _brightness(data) == pytest.approx([64, 128], abs=1)
    assert data.notes == ()


def test_what_is_no_number_is_black(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"a": 0.5, "b": float("nan"), "c": float("inf")}, "f4", "tif")
    assert _brightness(load_data(f"imagefolder:{folder}")) == [128, 0, 255]


def test_fingerprints_of_other_images_stay(tmp_path: Path) -> None:
    """Data sets of 8 bits keep the fingerprint with which their trainings resume."""
    for name in ("a", "b"):
        for number in range(2):
            _save(tmp_path / name / f"{number}.bmp", 7, "u1")
    assert load_data(f"imagefolder:{tmp_path}").fingerprint == "bb81f6085338df31"


def test_bombs_are_bad_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(3):
            _save(tmp_path / name / f"{number}.png", 7, "u1")
    header = (tmp_path / "a" / "0.png").read_bytes()
    import struct
    import zlib

    for name, side in (("large", 10_000), ("huge", 60_000)):
        size = b"IHDR" + struct.pack(">2I", side, side) + header[24:29]
        bomb = header[:12] + size + struct.pack(">I", zlib.crc32(size)) + header[33:]
        (tmp_path / "a" / f"{name}.png").write_bytes(bomb)
    with warnings.catch_warnings():
        (note,) = load_data(f"imagefolder:{tmp_path}").notes
    assert note.startswith("skipped corrupt images (2): a/huge.png: Image size (3600000000 pixels)")
    assert "a/large.png: Image size (100000000 pixels) exceeds limit" in note


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


@pytest.mark.parametrize(("colours", "kind"), [(3, 2), (4, 6), (2, 4)])
def test_colours_of_16_bits_are_cut_and_that_is_reported(
    colours: int, kind: int, tmp_path: Path
) -> None:
    row = b"\0" + np.full(9 * colours, 4000, ">u2").tobytes()
    head = struct.pack(">IIBBBBB", 9, 9, 16, kind, 0, 0, 0)  # 9 x 9 pixels of 16 bits (PNG 11.2.2)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(9 * row)), (b"IEND", b""))
    deep = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        _save(tmp_path / f"{name}.png", 100, "u1")
    (tmp_path / "b" / "1.png").write_bytes(deep)
    (note,) = load_data(f"imagefolder:{tmp_path},val=0.5").notes
    assert note.startswith("only the upper 8 bits are read of images with 16 bits a colour")
    assert note.endswith("convert such images to 8 bits (1)")
