"""Files by their names in a folder, or in a zip that is read without being unpacked."""

import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

from nas.core.errors import BadFile, first_line
from nas.core.files import MAX_TEXT, read_bytes

MAX_MEMBERS = 2_000_000
MAX_MEMBER = 2**29
"""Files of a zip, and bytes of one of them when it is unpacked."""
_HIDDEN = (".", "__")
_ENCRYPTED = 1


class Stored(Protocol):
    """The images of a dataset, by names."""

    def open(self, name: str) -> Path | bytes:
        """Return a file to be read, or its content."""

    def size(self, name: str) -> int:
        """Return the number of bytes of a file."""

    def called(self, name: str) -> str:
        """Return how messages call a file."""


class Files(Stored, Protocol):
    """The files of a dataset; names are relative to its folder, with slashes."""

    def under(self, folder: str) -> list[str]:
        """Return the names of all files at any depth of a folder, sorted; hidden ones are not."""

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""

    def read(self, name: str, most: int = MAX_TEXT) -> bytes:
        """Return the content of a file.

        Raises:
            BadFile: if it cannot be read, or has more than `most` bytes.
        """

    def within(self, folder: str) -> "Files":
        """Return the files of a folder."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files in a folder; other names may lead out of it."""

    root: Path

    def under(self, folder: str) -> list[str]:
        """Follow links, but into no folder twice."""
        found: list[str] = []
        seen: set[tuple[int, int]] = set()
        for at, folders, names in os.walk(self.root / folder, followlinks=True):
            status = os.stat(at)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN))
            inside = posixpath.relpath(Path(at).as_posix(), self.root.as_posix())
            found += [_joined(inside, name) for name in names if not name.startswith(".")]
        return sorted(found)

    def has(self, name: str) -> bool:
        """Tell whether it is a regular file."""
        try:
            return (self.root / name).is_file()
        except (OSError, ValueError):  # of a name that no file can have
            return False

    def open(self, name: str) -> Path:
        """Return the path; a pipe or a device would be waited for."""
        path = self.root / name
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        return path

    def read(self, name: str, most: int = MAX_TEXT) -> bytes:
        """Read regular files only."""
        try:
            return read_bytes(self.root / name, most=most)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise BadFile(f"{self.called(name)}: {said}") from None

    def size(self, name: str) -> int:
        """Ask the file system."""
        return (self.root / name).stat().st_size

    def called(self, name: str) -> str:
        """Return the path."""
        return str(self.root / name)

    def within(self, folder: str) -> "Folder":
        """Return the folder in this one."""
        return Folder(self.root / folder)


@dataclass(slots=True)
class Zip:
    """The files of a zip; several threads may read them, and another process opens it again."""

    path: Path
    top: str = ""
    zip: ZipFile = field(init=False)
    members: dict[str, ZipInfo] = field(init=False)

    def __post_init__(self) -> None:
        """Read the list of what is in it."""
        try:
            self.zip = ZipFile(self.path)
        except (OSError, BadZipFile, ValueError, NotImplementedError) as error:
            raise BadFile(f"{self.path} cannot be read: {first_line(error)}") from None
        infos = [info for info in self.zip.infolist() if not info.is_dir()]
        if len(infos) > MAX_MEMBERS:
            raise BadFile(f"{self.path} holds {len(infos):,} files, more than {MAX_MEMBERS:,}")
        names = {_normal(info.filename): info for info in infos}
        start = f"{self.top}/" if self.top else ""
        self.members = {
            name.removeprefix(start): info for name, info in names.items() if name.startswith(start)
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a path."""
        return Zip, (self.path, self.top)

    def under(self, folder: str) -> list[str]:
        """Look through the list of members."""
        start = f"{_normal(folder)}/" if _normal(folder) else ""
        return sorted(
            name
            for name in self.members
            if name.startswith(start)
            and not any(part.startswith(_HIDDEN) for part in name.split("/"))
        )

    def has(self, name: str) -> bool:
        """Look into the list of members."""
        return _normal(name) in self.members

    def open(self, name: str) -> bytes:
        """Return the content, so that its checksum is verified."""
        return self._read(name, MAX_MEMBER)

    def read(self, name: str, most: int = MAX_TEXT) -> bytes:
        """Unpack a member of at most `most` bytes."""
        try:
            return self._read(name, most)
        except OSError as error:
            raise BadFile(f"{self.called(name)}: {first_line(error)}") from None

    def _read(self, name: str, most: int) -> bytes:
        info = self.members.get(_normal(name))
        if info is None:
            raise OSError("the zip holds no such file")
        if info.file_size > most:
            raise OSError(f"larger than {most / 2**20:,.4g} MiB")
        if info.flag_bits & _ENCRYPTED:
            raise OSError("it is encrypted; unpack the zip with its password first")
        try:
            return self.zip.read(info)
        except Exception as error:  # corrupt archives raise almost anything
            raise OSError(f"cannot be unpacked: {first_line(error)}") from None

    def size(self, name: str) -> int:
        """Return the number of bytes when it is unpacked."""
        return self.members[_normal(name)].file_size

    def called(self, name: str) -> str:
        """Return the path of the zip, and the name in it."""
        return "/".join(part for part in (str(self.path), self.top, name) if part)

    def within(self, folder: str) -> "Zip":
        """Open the zip once more."""
        return Zip(self.path, "/".join(part for part in (self.top, _normal(folder)) if part))


def _normal(name: str) -> str:
    """Return a name without detours; "" for the top."""
    normal = posixpath.normpath(name)
    return "" if normal == "." else normal


def _joined(folder: str, name: str) -> str:
    return name if folder in ("", ".") else f"{folder}/{name}"


def located(path: str) -> tuple[Files, str]:
    """Return the files at `path`, a folder or a zip; of another file those beside it, and its name.

    A folder that holds all there is in a zip is entered.

    Raises:
        BadFile: if there is nothing.
    """
    place = Path(path).expanduser().absolute()  # workers may be in another folder
    if place.is_dir():
        return Folder(place), ""
    if not place.is_file():
        what = "is no regular file" if place.exists() else "no such file or folder"
        raise BadFile(f"{place}: {what}")
    if is_zipfile(place):
        whole = Zip(place)
        tops = {name.partition("/")[0] for name in whole.under("") if "/" in name}
        alone = len(tops) == 1 and all("/" in name for name in whole.under(""))
        return (whole.within(tops.pop()) if alone else whole), ""
    return Folder(place.parent), place.name


def first_with(files: Files, folders: tuple[str, ...]) -> str | None:
    """Return the shortest name of a folder that holds one of `folders` with files; "" for the top.

    None if there is none.
    """
    found = {
        "/".join(parts[:index])
        for parts in (name.split("/")[:-1] for name in files.under(""))
        for index, part in enumerate(parts)
        if part in folders
    }
    return min(found, key=lambda name: (name.count("/") + bool(name), name), default=None)
