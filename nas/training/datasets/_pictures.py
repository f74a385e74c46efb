"""Decode image files of every kind and size to squares, and find those that cannot be decoded."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling, Transpose

from nas.core.errors import BadFile, BadValue
from nas.core.machine import available_cores
from nas.core.text import few
from nas.training.data import Images, check_side
from nas.training.datasets._depth import (
    MODES,
    Largest,
    White,
    check_depth,
    is_cut,
    largest,
    to_bytes,
)
from nas.training.objects import Labels, Objects

Image.init()
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
"""Images of more than 89 million pixels are refused; Pillow itself refuses twice as many."""
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
MIN_BAD = 10
SHARE_BAD = 0.01
"""Up to so many images, or so large a share, may be bad unless the user says otherwise."""
_CUT = (
    "only the upper 8 bits are read of images with 16 bits a colour, so that values of fewer bits, "
    "as 12, come out dark; convert such images to 8 bits"
)
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

Open = Callable[[int], Path | bytes]
"""Returns the file of an image, or its content."""


def square(file: Path | bytes, side: int, white: White = White()) -> NDArray[np.uint8]:  # noqa: B008  # frozen
    """Return the centre of an image, its shorter side resized to `side`: uint8 (3, side, side).

    Of an animation it is the first frame; transparent becomes white; the orientation of EXIF is
    followed. `white` says how far the values of images with more than 8 bits reach.
    """
    with _opened(file) as image:
        turn = TURNS.get(_orientation(image))
        factor = 2 * side / min(image.size)  # twice as large as needed: no quality is lost
        image.draft(None, (ceil(image.width * factor), ceil(image.height * factor)))
        # The square in the middle is the same before and after a turn, and faster to turn then.
        small = _in_colours(image, white).resize(
            (side, side), Resampling.BILINEAR, _centre(image.size)
        )
    if turn is not None:
        small = small.transpose(turn)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def stretched(file: Path | bytes, side: int, white: White = White()) -> NDArray[np.uint8]:  # noqa: B008  # frozen
    """Return a whole image, resized to a square of `side`: uint8 (3, side, side).

    In all else it is read as `square` does.
    """
    with _opened(file) as image:
        turn = TURNS.get(_orientation(image))
        image.draft(None, (2 * side, 2 * side))
        small = _in_colours(image, white).resize((side, side), Resampling.BILINEAR)
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
    except Exception:  # corrupt EXIF raises anything, and says nothing about the picture
        return 1


def _in_colours(image: Image.Image, white: White) -> Image.Image:
    """Return `image` as RGB."""
    if image.mode in MODES:
        return Image.fromarray(to_bytes(np.asarray(image), white.of(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """Why an image cannot be decoded, or nothing, and its largest value if that must be known.

    `cut`: only the upper 8 bits of each colour's 16 are read. `size` is its width and height in
    pixels as they are stored, `turn` the orientation of EXIF, 1 for none.
    """

    problem: str
    largest: Largest
    cut: bool = False
    size: tuple[int, int] = (0, 0)
    turn: int = 1


def check_image(file: Path | bytes, check: str) -> ImageCheck:
    """Return what is to be known of an image.

    The check `full` decodes it, JPEG at an eighth of its size, which still reads the whole file;
    `header` looks at its first bytes only, unless they leave open how far its values reach.
    """
    try:
        with _opened(file) as image:
            cut = is_cut(image)
            size, turn = image.size, _orientation(image)
            most = largest(image)
        if check == "full":
            square(file, 8)
    except Exception as error:  # corrupt bytes make Pillow raise almost anything
        return ImageCheck(_first_line(error), {})
    return ImageCheck("", most, cut, size, turn)


def _first_line(error: Exception) -> str:
    text = (getattr(error, "strerror", "") or str(error)).partition("\n")[0]
    if "cannot identify image file" in text:
        return "no image"
    return text or type(error).__name__


def check_options(check: str, max_bad: int, depth: int) -> None:
    """Refuse values of the options that all readers of image files have.

    Raises:
        BadValue: naming the option.
    """
    if check not in CHECKS:
        raise BadValue(f"check must be {' or '.join(CHECKS)}, not {check!r}")
    if max_bad < -1:
        raise BadValue(f"max_bad must be a number of images, or -1 for 1 %, not {max_bad}")
    check_depth(depth)


def most_bad(count: int, max_bad: int) -> int:
    """Return how many of `count` images may be bad; `max_bad` of -1 is for 1 %, at least 10."""
    return max(MIN_BAD, int(SHARE_BAD * count)) if max_bad == -1 else max_bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Indices of the images that can be decoded, notes on the others, and the largest values.

    `sizes` are width and height of the good ones as they are stored, of shape (good, 2), `turns`
    their orientations by EXIF.
    """

    good: NDArray[np.int64]
    notes: tuple[str, ...]
    largest: tuple[Largest, ...]
    sizes: NDArray[np.int64]
    turns: NDArray[np.int64]


def find_bad(opens: Open, names: Sequence[str], *, check: str, max_bad: int) -> Checked:
    """Look at every image, and return which of them can be decoded.

    `names` are those that messages use.

    Raises:
        BadFile: if there are more bad ones than `max_bad`; it names the first few.
    """
    limit = most_bad(len(names), max_bad)
    bad: dict[int, str] = {}
    most: list[Largest] = []
    shapes: list[tuple[int, int, int]] = []
    cut = 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(names), 4096):  # so that the pool's queue stays short
            part = range(start, min(start + 4096, len(names)))
            checks = list(pool.map(lambda index: _check_at(opens, index, check), part))
            bad.update((i, one.problem) for i, one in zip(part, checks, strict=True) if one.problem)
            most += [one.largest for one in checks if one.largest]
            shapes += [(*one.size, one.turn) for one in checks if not one.problem]
            cut += sum(one.cut for one in checks)
            if len(bad) > limit:
                break
    some = few([f"{names[index]}: {why}" for index, why in bad.items()], between="; ")
    if len(bad) > limit:
        raise BadFile(
            f"{len(bad)} of the first {part.stop} images cannot be decoded, more than the "
            f"{limit} that max_bad allows: {some}. Repair or remove them, or raise max_bad"
        )
    return Checked(
        good=np.array([index for index in range(len(names)) if index not in bad], np.int64),
        notes=(
            *((f"skipped corrupt images ({len(bad)}): {some}",) if bad else ()),
            *((f"{_CUT} ({cut})",) if cut else ()),
        ),
        largest=tuple(most),
        sizes=np.array(shapes, np.int64).reshape(-1, 3)[:, :2],
        turns=np.array(shapes, np.int64).reshape(-1, 3)[:, 2],
    )


def _check_at(opens: Open, index: int, check: str) -> ImageCheck:
    try:
        return check_image(opens(index), check)
    except OSError as error:
        return ImageCheck(error.strerror or str(error), {})


def from_files(opens: Open, names: Sequence[str], labels: Labels, white: White) -> Images:
    """Return images that are decoded when they are read; `opens` takes positions in `labels`.

    Images with objects are stretched to squares, of others it is the square in the middle.
    """
    decode = stretched if isinstance(labels, Objects) else square
    return Images(labels=labels, read=partial(_read, opens, names, partial(decode, white=white)))


def _read(
    opens: Open,
    names: Sequence[str],
    decode: Callable[[Path | bytes, int], NDArray[np.uint8]],
    indices: NDArray[np.int64],
    side: int,
) -> NDArray[np.uint8]:
    result = np.empty((len(indices), 3, check_side(side), side), np.uint8)
    for row, index in enumerate(indices):
        try:
            result[row] = decode(opens(int(index)), side)
        except Exception as error:  # as above
            raise BadFile(
                f"{names[int(index)]}: {_first_line(error)}; it seemed readable before. "
                "Remove it and start again; check=full finds such files first"
            ) from None
    return result
