"""Folders that are kept at a URL, and worked on here meanwhile."""

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

    A path is worked on where it is. What is kept at a URL is worked on in the folder `here`, in the
    user's cache, while it is open. Its files, and those in its folders, are its own; whatever lies
    deeper belongs to places of their own.

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
        """The folder itself, or the one in which it is worked on."""
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
        """Return the same folder for processes that run in another one."""
        return Place(self.kept.resolve()) if isinstance(self.kept, Path) else self

    @contextmanager
    def open(self, *, patient: bool = False) -> Iterator[Path]:
        """Give the folder to work in; nothing is done for a path.

        From a URL everything is fetched. What changes is sent every few seconds, and once more at
        the end; then nothing is left here. After a kill, what is at the URL counts, and of a file
        of JSON lines what was never sent besides, if this is the same machine. A sending that
        fails is tried again. `patient`: so is the fetching, instead of failing at once.

        Raises:
            RunError: if the URL cannot be read or written, or another process of this machine has
                opened it. Errors that name the folder here name the URL instead.
        """
        if isinstance(self.kept, Path):
            yield self.kept
            return
        with working_copy(self.kept, self.here, patient=patient):
            yield self.here

    @contextmanager
    def reading(self, *names: str) -> Iterator[Path]:
        """Give a folder that holds the files called `names`, as far as there are such, to read.

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
