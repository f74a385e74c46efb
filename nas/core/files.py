"""Read regular files only, and write files so that a kill loses nothing.

Irregular files are rejected: a FIFO would block forever, and `/dev/zero` never ends. This module
needs only the standard library, so that it runs on the devices that are measured.
"""

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nas.core.errors import BadFile
from nas.core.text import few

MAX_TEXT = 64 * 2**20
"""The most bytes of a file that is parsed at once: an architecture, a table, settings."""
MAX_RECORDS = 2**31
"""The most bytes of a file of records: a journal of 10,000,000 trials is smaller."""
_LONGEST_STEM = 50


def open_regular(path: Path, *, append: bool = False) -> IO[bytes]:
    """Open a regular file for reading, and with `append` for unbuffered appending too.

    Raises:
        OSError: if it is not a regular file, or cannot be opened.
    """
    mode, buffering = ("a+b", 0) if append else ("rb", -1)
    file = open(path, mode, buffering=buffering, opener=_without_waiting)  # noqa: SIM115 - returned
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise _irregular(path)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO is opened without waiting for its other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def read_bytes(path: Path, *, most: int = MAX_RECORDS) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises:
        OSError: if it is larger, not a regular file, or cannot be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= most:
            return file.read()
    raise OSError(errno.EFBIG, f"larger than {most / 2**20:,.4g} MiB", str(path))


def read_text(path: Path, *, most: int = MAX_TEXT) -> str:
    r"""Return the content of a regular file of at most `most` bytes as text; lines end in "\n".

    Raises:
        OSError: if it is larger, not a regular file, or cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
    """
    text = read_bytes(path, most=most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def atomic_path(path: Path, *, follow: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block succeeds.

    Readers of `path` see the old content or the new, never a part. A new file gets the mode that
    the umask allows; a replaced file keeps its mode. A link is replaced like a file, so that no
    link in a foreign run folder leads out of it. With `follow`, for paths given by the user, the
    target of a link is replaced, and a FIFO or a device such as /dev/stdout is written to.

    Raises:
        BadFile: if `path` cannot be written.
    """
    try:
        if follow and _is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder, f"written{path.suffix}")
                _write_through(Path(folder, f"written{path.suffix}"), path)
        else:
            with _replacing(Path(os.path.realpath(path)) if follow else path) as temporary:
                yield temporary
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror or error}") from None


def _is_stream(path: Path) -> bool:
    """Return whether `path` is written to instead of replaced; /dev/stdout is, even as a file.

    Raises:
        OSError: if it is a disk.
    """
    if not path.exists():
        return False
    mode, parent = path.stat().st_mode, os.path.realpath(path.parent)
    if stat.S_ISBLK(mode):
        raise _irregular(path)
    is_open = parent == "/dev" or parent.startswith("/proc/")
    return is_open or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write_through(source: Path, path: Path) -> None:
    with source.open("rb") as file, path.open("ab", buffering=0) as stream:
        shutil.copyfileobj(file, stream)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path`, with its mode, and rename it to `path` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.lstat().st_mode if os.path.lexists(path) else None
    if old and not (stat.S_ISREG(old) or stat.S_ISLNK(old) or stat.S_ISDIR(old)):
        raise _irregular(path)
    new = path.with_name(f".{path.stem[:_LONGEST_STEM]}-{secrets.token_hex(4)}{path.suffix}")
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)) as made:
        mode = old if old and stat.S_ISREG(old) else os.fstat(made.fileno()).st_mode
    try:
        yield new
        os.chmod(new, stat.S_IMODE(mode))  # some libraries replace it by a file with mode 0600
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))


def write_text(path: Path, text: str, *, follow: bool = False) -> None:
    """Write `text` to `path` atomically; for `follow` see `atomic_path`."""
    with atomic_path(path, follow=follow) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_folder(path: Path, files: Mapping[str, bytes], *, others_stay: bool = False) -> None:
    """Write `files` (contents by name) into the folder `path`, which is created atomically.

    In an existing folder each file is replaced atomically; hidden files and caches stay, and with
    `others_stay` all that it holds.

    Raises:
        BadFile: if it cannot be written, or already holds other files that are not to stay.
    """
    there_is = path.resolve()
    new = there_is.with_name(f".{there_is.name[:_LONGEST_STEM] or 'root'}-{secrets.token_hex(4)}")
    try:
        there = {p.name for p in path.iterdir()} if os.path.lexists(path) else None
        others = sorted(n for n in there or () if n not in files and not n.startswith((".", "__")))
        if others and not others_stay:
            raise OSError(errno.ENOTEMPTY, f"it holds {few(others)} already")
        new.mkdir(parents=True)
        for name, content in files.items():
            (new / name).write_bytes(content)
        if there is None:
            new.rename(path)
        for name in files if there is not None else ():
            (new / name).replace(path / name)
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
