"""The official python archives of CIFAR-10 and CIFAR-100, as a folder or as the tar.gz."""

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.errors import BadFile
from nas.nn.data import Source, fingerprint_of
from nas.nn.datasets._arrays import from_arrays
from nas.nn.datasets._split import split
from nas.nn.datasets._unpickle import unpickle

SHAPE = (3, 32, 32)
LARGEST_FILE = 2**30
Take = Callable[[str], bytes]
"""Returns the content of a file of the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one of the archives is built: its folder, its files and the keys in them."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: str
    names: str


def read(path: str, layout: Layout, *, val: float, seed: int) -> Source:
    """Return the images of an archive; a share `val` of training is for validation.

    The test images stay for testing. `path` is the archive, its folder, or where that lies.

    Raises:
        BadFile: if the archive is not there, incomplete, or holds something else.
    """
    take, place = _taker(Path(path).expanduser(), layout)
    meta = unpickle(take(layout.meta), place=f"{place}/{layout.meta}")
    classes = meta.get(layout.names)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise BadFile(f"{place}/{layout.meta} has no list {layout.names}")
    loaded = [_batch(take(name), layout, f"{place}/{name}") for name in layout.train]
    pixels, labels = (np.concatenate(parts) for parts in zip(*loaded, strict=True))
    test_pixels, test_labels = _batch(take(layout.test), layout, f"{place}/{layout.test}")
    train, validation = split(_within(labels, len(classes), place), (val,), seed=seed)
    content = (pixels, labels, test_pixels, test_labels, train, validation)
    return Source(
        classes=tuple(classes),
        train=from_arrays(pixels[train], labels[train]),
        val=from_arrays(pixels[validation], labels[validation]),
        test=from_arrays(test_pixels, _within(test_labels, len(classes), place)),
        fingerprint=fingerprint_of([*classes, *(part.tobytes() for part in content)]),
    )


def _taker(path: Path, layout: Layout) -> tuple[Take, str]:
    for folder in (path, path / layout.folder):
        if (folder / layout.meta).is_file():
            return partial(_from_folder, folder), str(folder)
    for archive in (path, path / layout.archive):
        if archive.is_file():
            return _from_tar(archive, layout), str(archive)
    raise BadFile(
        f"{path}: found neither {layout.folder}/{layout.meta} nor {layout.archive}; it comes "
        "from https://www.cs.toronto.edu/~kriz/cifar.html"
    )


def _from_folder(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BadFile(
            f"{folder / name}: {error.strerror or error}; the archive is incomplete"
        ) from None


def _from_tar(archive: Path, layout: Layout) -> Take:
    """Read the archive's files once, since going back means to decompress it anew."""
    wanted = {f"{layout.folder}/{name}" for name in (*layout.train, layout.test, layout.meta)}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name in wanted else None
                if file is not None:
                    found[Path(member.name).name] = file.read(LARGEST_FILE)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise BadFile(f"{archive} cannot be read: {error}; is the download complete?") from None

    def take(name: str) -> bytes:
        if name not in found:
            raise BadFile(f"{archive} holds no {layout.folder}/{name}; is it the official archive?")
        return found[name]

    return take


def _batch(
    content: bytes, layout: Layout, place: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = unpickle(content, place=place)
    pixels, labels = data.get("data"), data.get(layout.labels)
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (np.prod(SHAPE),):
        found = f"shape {pixels.shape}" if isinstance(pixels, np.ndarray) else "no array"
        raise BadFile(f"{place}: data must have shape (n, 3072), found {found}")
    if not isinstance(labels, list) or {type(label) for label in labels} - {int}:
        raise BadFile(f"{place}: expected a list of whole numbers under {layout.labels}")
    if len(labels) != len(pixels):
        raise BadFile(f"{place}: {len(pixels)} images, but {len(labels)} labels")
    return pixels.reshape(-1, *SHAPE), np.array(labels, np.int64)


def _within(labels: NDArray[np.int64], classes: int, place: str) -> NDArray[np.int64]:
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        raise BadFile(f"{place}: label {outside[0]} is outside of 0..{classes - 1}")
    return labels
