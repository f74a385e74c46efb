"""The official python archives of CIFAR-10 and CIFAR-100, as a folder or as the tar.gz."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadFile
from nas.core.text import shown
from nas.training.data import Source, fingerprint_of
from nas.training.datasets._arrays import from_arrays
from nas.training.datasets._split import split
from nas.training.datasets._unpickle import unpickle

SHAPE = (3, 32, 32)
LARGEST = 2**29
"""Bytes of an archive, unpacked, and of a file; the real ones have 178 MB in all."""
MAX_MEMBERS = 1000
_GZIP = b"\x1f\x8b"
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

    `path` is the archive, its folder, or the folder above that.

    Raises:
        BadFile: if the archive is missing, incomplete, or holds something else.
    """
    take, place = _taker(Path(path).expanduser(), layout)
    meta = unpickle(take(layout.meta), place=f"{place}/{layout.meta}")
    classes = meta.get(layout.names)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise BadFile(f"{place}/{layout.meta} has no list {layout.names}")

    def batch(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        data = unpickle(take(name), place=f"{place}/{name}")
        return _batch(data, layout.labels, len(classes), place=f"{place}/{name}")

    loaded = [batch(name) for name in layout.train]
    pixels, labels = (np.concatenate(parts) for parts in zip(*loaded, strict=True))
    test_pixels, test_labels = batch(layout.test)
    train, validation = split(labels, (val,), seed=seed)
    content = (pixels, labels, test_pixels, test_labels, train, validation)
    return Source(
        classes=tuple(classes),
        train=from_arrays(pixels[train], labels[train]),
        val=from_arrays(pixels[validation], labels[validation]),
        test=from_arrays(test_pixels, test_labels),
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
    path = folder / name
    try:
        if path.exists() and not path.is_file():
            raise BadFile(f"{path} is no file")
        if path.stat().st_size > LARGEST:
            raise BadFile(f"{path} is larger than any file of the official archives")
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}; the archive is incomplete") from None


def _from_tar(archive: Path, layout: Layout) -> Take:
    """Read the archive's files once, since going back means decompressing it again."""
    wanted = {f"{layout.folder}/{name}" for name in (*layout.train, layout.test, layout.meta)}
    try:
        with archive.open("rb") as file, _unpacked(file) as plain:
            found = dict(_members(plain, wanted))
    except Exception as error:  # corrupt archives raise almost anything
        said = error or type(error).__name__
        raise BadFile(f"{archive} cannot be read: {said}; is the download complete?") from None

    def take(name: str) -> bytes:
        if name not in found:
            raise BadFile(f"{archive} holds no {layout.folder}/{name}; is it the official archive?")
        return found[name]

    return take


def _unpacked(file: BinaryIO) -> Any:
    """Return the bytes of a tar that may be packed by gzip."""
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file


@dataclass(frozen=True, slots=True)
class _Bounded:
    """A file that is never read in parts larger than `LARGEST`, whatever a header says."""

    file: Any

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST:
            raise BadFile(f"a part of it is said to have {size} bytes")
        content: bytes = self.file.read(size)
        return content

    def seek(self, position: int) -> int:
        moved: int = self.file.seek(position)
        return moved

    def tell(self) -> int:
        position: int = self.file.tell()
        return position


def _members(plain: Any, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted files of a tar.

    Raises:
        BadFile: if one is a link or comes twice, or if there is more than such archives hold.
    """
    total, seen = 0, set()
    with tarfile.open(fileobj=_Bounded(plain), mode="r:") as tar:  # type: ignore[call-overload]  # has what is needed
        for count, member in enumerate(tar, start=1):
            total += member.size
            if total > LARGEST or count > MAX_MEMBERS:
                raise BadFile("it holds more than the official archives")
            if member.name not in wanted:
                continue
            if not member.isreg():
                raise BadFile(f"{member.name} in it is a link, or no file")
            if member.name in seen:
                raise BadFile(f"it holds {member.name} twice")
            seen.add(member.name)
            file = tar.extractfile(member)
            yield Path(member.name).name, file.read() if file else b""


def _batch(
    data: dict[str, Any], key: str, classes: int, *, place: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and labels of a file, both checked."""
    pixels, labels = data.get("data"), data.get(key)
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (np.prod(SHAPE),):
        found = f"shape {pixels.shape}" if isinstance(pixels, np.ndarray) else "no array"
        raise BadFile(f"{place}: data must have shape (n, 3072), found {found}")
    if not isinstance(labels, list) or {type(label) for label in labels} - {int}:
        raise BadFile(f"{place}: expected a list of whole numbers under {key}")
    if len(labels) != len(pixels):
        raise BadFile(f"{place}: {len(pixels)} images, but {len(labels)} labels")
    for row, label in enumerate(labels):
        if not 0 <= label < classes:
            raise BadFile(
                f"{place}: label {shown(label)} of image {row} is outside of 0..{classes - 1}"
            )
    return pixels.reshape(-1, *SHAPE), np.array(labels, np.int64)
