"""Folders at a path, or at a URL with a local working copy."""

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
from nas.core.storage.working import named, with_retries, working_copy
from nas.core.text import file_name, without_secrets

_IS_URL = re.compile(r"[A-Za-z][\w+.:-]*://")
_BROKEN_URL = re.compile(r"[A-Za-z][\w+.-]+:")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, by its path or its URL (any that fsspec knows).

    A path is used in place. While a URL is open, it has a working copy in the folder `here`, in the
    user's cache. A place consists of its files and those in its folders; what lies deeper belongs
    to other places.

    Raises:
        NasError: if it is a URL without a folder, or a URL that was made a path.
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
        """The folder itself, or the folder of the working copy."""
        if isinstance(self.kept, Path):
            return self.kept
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        last = file_name(without_secrets(self.kept).rpartition("/")[2], default="run")
        digest = hashlib.sha256(self.kept.encode()).hexdigest()[:16]
        return cache / "nas" / f"{last}-{digest}"

    def __truediv__(self, name: str) -> "Place":
        """Return the folder `name` inside this one."""
        inside = self.kept / name if isinstance(self.kept, Path) else f"{self.kept}/{name}"
        return Place(inside)

    def __str__(self) -> str:
        """Return the path, or the URL."""
        return str(self.kept)

    def resolved(self) -> "Place":
        """Return the same place for processes with another working folder."""
        return Place(self.kept.resolve()) if isinstance(self.kept, Path) else self

    @contextmanager
    def open(self, *, retry: bool = False) -> Iterator[Path]:
        """Yield the folder to work in; for a URL, a working copy (see `working_copy`)."""
        if isinstance(self.kept, Path):
            yield self.kept
            return
        with working_copy(self.kept, self.here, retry=retry):
            yield self.here

    @contextmanager
    def reading(self, *names: str) -> Iterator[Path]:
        """Yield a folder with those of the files `names` that exist, for reading.

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
        """Remove the files whose names match `pattern`, as in "*.safetensors".

        Raises:
            RunError: if they cannot be removed.
        """
        for path in self.here.glob(pattern):
            path.unlink(missing_ok=True)
        if isinstance(self.kept, str):
            there = Storage(self.kept)
            with_retries(lambda: there.remove([n for n in there.names() if fnmatch(n, pattern)]))


def is_url(text: str) -> bool:
    """Return whether `text` is a URL."""
    return bool(_IS_URL.match(text))


def split_name(text: str) -> tuple[str, str | None]:
    """Return FOLDER, which may be a URL, and NAME of "FOLDER:NAME"; NAME is None if absent."""
    folder, _, name = text.rpartition(":")
    is_solution = folder and not (is_url(text) and "/" in name)
    return (folder, name) if is_solution else (text, None)
