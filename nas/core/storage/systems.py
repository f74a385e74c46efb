"""Files at a URL of any file system that fsspec knows: s3, gs, sftp, file and many more.

Readers of a file see the old content or the new, never a part: object stores put objects
atomically, and elsewhere a file is written under a temporary name and moved. Hidden files (whose
names begin with a dot) and files more than one folder deep are ignored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.core.errors import NasError, RunError, missing_package

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LOG = ".jsonl"
"""The suffix of files that grow line by line; only finished lines are sent."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The files at a URL; their names are relative to it, as in "archs/001.yaml".

    Every method raises a one-line RunError if the file system fails, and a MissingPackage if the
    package for it is not installed.
    """

    url: str

    def names(self) -> list[str]:
        """Return the names of all files; none if the folder does not exist."""
        with self._opened("read") as (system, root):
            system.invalidate_cache()
            found = []
            for entry in _entries(system, root):
                name = _last(entry)
                if entry["type"] == "directory":
                    below = _entries(system, f"{root}/{name}")
                    found += [f"{name}/{_last(e)}" for e in below if e["type"] != "directory"]
                else:
                    found.append(name)
            return sorted(found)

    def read(self, name: str) -> bytes:
        """Return the content of a file; empty if it does not exist."""
        with self._opened("read") as (system, root):
            try:
                return bytes(system.cat_file(f"{root}/{name}"))
            except FileNotFoundError:
                return b""

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to the local `path`, which is removed if there is no such file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened("read") as (system, root):
            try:
                system.get_file(f"{root}/{name}", str(path))
            except FileNotFoundError:
                path.unlink(missing_ok=True)

    def send(self, path: Path, name: str) -> None:
        """Upload the local file at `path`; of a file of lines only the finished ones."""
        if path.suffix == LOG:
            content = path.read_bytes()
            self.write(name, content[: content.rfind(b"\n") + 1])
            return
        with self._replacing(name) as (system, target):
            system.put_file(str(path), target)

    def write(self, name: str, content: bytes) -> None:
        """Write `content` to a file."""
        with self._replacing(name) as (system, target):
            system.pipe_file(target, content)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; missing ones are ignored."""
        with self._opened("written") as (system, root):
            for name in names:
                with suppress(FileNotFoundError):
                    system.rm_file(f"{root}/{name}")

    @contextmanager
    def _replacing(self, name: str) -> Iterator[tuple["AbstractFileSystem", str]]:
        """Yield the file system and a path to write to, which replaces `name` at the end."""
        with self._opened("written") as (system, root):
            if not _has_folders(root):
                yield system, f"{root}/{name}"
                return
            folder, _, last = f"{root}/{name}".rpartition("/")
            system.makedirs(folder, exist_ok=True)
            yield system, f"{folder}/.{last}.part"
            system.mv(f"{folder}/.{last}.part", f"{folder}/{last}")

    @contextmanager
    def _opened(self, how: str) -> Iterator[tuple["AbstractFileSystem", str]]:
        """Yield the file system and the path on it; its errors become one line."""
        try:
            from fsspec.core import url_to_fs

            system, root = url_to_fs(self.url)
            yield system, root.rstrip("/")
        except NasError:
            raise
        except ImportError as error:
            raise _missing(error, self.url) from None
        except Exception as error:  # each file system has errors of its own
            raise RunError(f"{self.url} cannot be {how}: {_reason(error)}") from None


def _has_folders(root: str) -> bool:
    """Return whether a file system has folders: its fsspec paths begin with a slash or a drive.

    In object stores they begin with the bucket, which making a "folder" would create.
    """
    return root.startswith("/") or root[1:2] == ":"


def _entries(system: "AbstractFileSystem", path: str) -> list[dict[str, Any]]:
    """Return the entries of a folder that are not hidden, without the folder itself."""
    try:
        found = system.ls(path, detail=True)
    except FileNotFoundError:
        return []
    own = path.strip("/")
    return [e for e in found if e["name"].strip("/") != own and not _last(e).startswith(".")]


def _last(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _missing(error: ImportError, url: str) -> NasError:
    """Return the error for a missing package: fsspec itself, or the one for a protocol."""
    cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    if isinstance(cause, ModuleNotFoundError):
        return missing_package(cause, wanted_by=url)
    return RunError(f"{url}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the reason for an error, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
