"""Decode image files of every kind and size to squares, and find those that cannot be decoded."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling, Transpose

from nas.errors import BadFile, BadValue
from nas.machine import available_cores
from nas.nn.data import Images, check_side

Image.init()
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN  # some can be left out when Pillow is built
)
"""Pillow knows more, but some run other programs (EPS) or are no photographs."""
SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".jp2", ".avif"),
)
CHECKS = ("full", "header")
LEAST_BAD = 10
SHARE_BAD = 0.01
"""Up to so many images, or so large a share, may be bad unless the user says otherwise."""
ORIENTATION = 0x0112
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What undoes an orientation of EXIF."""
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

Open = Callable[[int], Path | bytes]
"""Returns the file of an image, or its content."""


def square(file: Path | bytes, side: int) -> NDArray[np.uint8]:
    """Return the centre of an image, its shorter side resized to `side`: uint8 (3, side, side).

    Of an animation it is the first frame; what is transparent becomes white, which is what such
    pictures are mostly drawn for; the orientation of EXIF is followed.
    """
    with _opened(file) as image:
        turn = TURNS.get(_orientation(image))
        factor = 2 * side / min(image.size)  # twice as large as needed: no quality is lost
        image.draft(None, (ceil(image.width * factor), ceil(image.height * factor)))
        # The square in the middle is the same before and after a turn, and faster to turn then.
        small = _in_colours(image).resize((side, side), Resampling.BILINEAR, _centre(image.size))
    if turn is not None:
        small = small.transpose(turn)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def _opened(file: Path | bytes) -> Image.Image:
    return Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS)


def _centre(size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    shorter = min(size)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    return left, top, left + shorter, top + shorter


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # rotten EXIF raises anything, and says nothing about the picture
        return 1


def _in_colours(image: Image.Image) -> Image.Image:
    """Return `image` as RGB."""
    if image.mode in DEEP:
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale 16 bits to 8, and fractions up to 1 to 255; Pillow itself would cut them off."""
    numbers = np.nan_to_num(values.astype(np.float64))
    if values.dtype.kind == "f":
        factor = 255.0 if numbers.max() <= 1 else 1.0
    else:
        factor = 255 / 65535 if values.dtype.itemsize == 2 or numbers.max() > 255 else 1.0
    return (numbers * factor).round().clip(0, 255).astype(np.uint8)


def trouble(file: Path | bytes, check: str) -> str:
    """Return why an image cannot be decoded, or nothing.

    The check `full` decodes it, JPEG at an eighth of its size, which still reads the whole file;
    `header` looks at its first bytes only.
    """
    try:
        if check == "full":
            square(file, 8)
        else:
            _opened(file).close()
    except Exception as error:  # rotten bytes make Pillow raise almost anything
        return _first_line(error)
    return ""


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    if "cannot identify image file" in text:
        return "no image"
    return text or type(error).__name__


def check_options(check: str, max_bad: int) -> None:
    """Refuse values of the options that all readers of image files have.

    Raises:
        BadValue: naming the option.
    """
    if check not in CHECKS:
        raise BadValue(f"check must be {' or '.join(CHECKS)}, not {check!r}")
    if max_bad < -1:
        raise BadValue(f"max_bad must be a number of images, or -1 for 1 %, not {max_bad}")


def find_bad(
    opens: Open, names: Sequence[str], *, check: str, max_bad: int
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the indices of images that can be decoded, and notes about the others.

    `names` are those that messages use. `max_bad` of -1 stands for 1 %, but for 10 at least.

    Raises:
        BadFile: if there are more bad ones than `max_bad`; it names the first few.
    """
    limit = max(LEAST_BAD, int(SHARE_BAD * len(names))) if max_bad == -1 else max_bad
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(names), 4096):  # so that the pool's queue stays short
            part = range(start, min(start + 4096, len(names)))
            found = pool.map(lambda index: _trouble_at(opens, index, check), part)
            bad.update((index, why) for index, why in zip(part, found, strict=True) if why)
            if len(bad) > limit:
                break
    some = "; ".join(f"{names[index]}: {why}" for index, why in list(bad.items())[:3])
    if len(bad) > limit:
        raise BadFile(
            f"{len(bad)} of the first {part.stop} images cannot be decoded, more than the "
            f"{limit} that max_bad allows: {some}. Mend or remove them, or raise max_bad"
        )
    good = np.array([index for index in range(len(names)) if index not in bad], np.int64)
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return good, (f"skipped {len(bad)} corrupt images: {some}{more}",) if bad else ()


def _trouble_at(opens: Open, index: int, check: str) -> str:
    try:
        return trouble(opens(index), check)
    except OSError as error:
        return error.strerror or str(error)


def from_files(opens: Open, names: Sequence[str], labels: NDArray[np.int64]) -> Images:
    """Return images that are decoded when they are read; `opens` takes positions in `labels`."""
    return Images(labels=labels, read=partial(_read, opens, names))


def _read(
    opens: Open, names: Sequence[str], indices: NDArray[np.int64], side: int
) -> NDArray[np.uint8]:
    result = np.empty((len(indices), 3, check_side(side), side), np.uint8)
    for row, index in enumerate(indices):
        try:
            result[row] = square(opens(int(index)), side)
        except Exception as error:  # as above
            raise BadFile(
                f"{names[int(index)]}: {_first_line(error)}; it seemed readable before. "
                "Remove it and start again; check=full finds such files first"
            ) from None
    return result
