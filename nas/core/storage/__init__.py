"""Folders at a path or at a URL, with a working copy here."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.errors import NasError
from nas.core.storage.systems import Storage
from nas.core.storage.working import named, patiently, working_copy
from nas.core.text import file_name, without_secrets

_IS_URL = re.compile(r"[A-Za-z][\w+.:-]*://")
_BROKEN_URL = re.compile(r"[A-Za-z][\w+.-]+:")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, by its path or by the URL where it is kept (any that fsspec knows).

    A path is worked on where it is. While a URL is open, it has a working copy in the folder
    `here`, in the user's cache. Its files, and those in its folders, belong to it; what lies deeper
    belongs to other places.

    Raises:
        NasError: if it is a URL of nothing, or one that was made a path.
    """

    kept: Path | str

    def __post_init__(self) -> None:
        text = str(self.kept)
        if isinstance(self.kept, str) and is_url(text):
            text = text.rstrip("/")
            if not is_url(text):
                raise NasError(f"{self.kept}: names no folder; give one, as in s3://bucket/first")
            object.__setattr__(self, "kept", text)
            return
        if _BROKEN_URL.fullmatch(Path(text).parts[0] if Path(text).parts else ""):
            raise NasError(f"{text}: a URL is given as text, with two slashes, not as a path")
        object.__setattr__(self, "kept", Path(text))

    @property
    def here(self) -> Path:
        """The folder itself, or that of the working copy."""
        if isinstance(self.kept, Path):
            return self.kept
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        last = file_name(without_secrets(self.kept).rpartition("/")[2], default="run")
        digest = hashlib.sha256(self.kept.encode()).hexdigest()[:16]
        return cache / "nas" / f"{last}-{digest}"

    def __truediv__(self, name: str) -> "Place":
        """Return the folder called `name` within this one."""
        inside = self.kept / name if isinstance(self.kept, Path) else f"{self.kept}/{name}"
        return Place(inside)

    def __str__(self) -> str:
        """Return the path, or the URL."""
        return str(self.kept)

    def resolved(self) -> "Place":
        """Return the same folder for processes with another working folder."""
        return Place(self.kept.resolve()) if isinstance(self.kept, Path) else self

    @contextmanager
    def open(self, *, patient: bool = False) -> Iterator[Path]:
        """Give the folder to work in; for a URL that is a working copy, see `working_copy`."""
        if isinstance(self.kept, Path):
            yield self.kept
            return
        with working_copy(self.kept, self.here, patient=patient):
            yield self.here

    @contextmanager
    def reading(self, *names: str) -> Iterator[Path]:
        """Give a folder with the files called `names` that exist, to read.

        Raises:
            RunError: if the URL cannot be read.
        """
        if isinstance(self.kept, Path):
            yield self.kept
            return
        with TemporaryDirectory(prefix="nas-") as folder, named(Path(folder), self.kept):
            for name in names:
                Storage(self.kept).fetch(name, Path(folder) / name)
            yield Path(folder)

    def remove(self, pattern: str) -> None:
        """Remove the files with names like `pattern`, as in "*.safetensors".

        Raises:
            RunError: if that is not possible.
        """
        for path in self.here.glob(pattern):
            path.unlink(missing_ok=True)
        if isinstance(self.kept, str):
            there = Storage(self.kept)
            patiently(lambda: there.remove([n for n in there.names() if fnmatch(n, pattern)]))


def is_url(text: str) -> bool:
    """Tell a URL from a path."""
    return bool(_IS_URL.match(text))


def split_name(text: str) -> tuple[str, str | None]:
    """Return FOLDER and NAME of "FOLDER:NAME", of a URL too; None where there is no name."""
    folder, _, name = text.rpartition(":")
    is_solution = folder and not (is_url(text) and "/" in name)
    return (folder, name) if is_solution else (text, None)
