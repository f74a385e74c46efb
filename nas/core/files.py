"""Read regular files only, and write files so that a kill loses nothing.

A FIFO would block for ever and `/dev/zero` never end, so neither is read. Nothing here needs more
than Python, for devices that measure.
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

MOST_TEXT = 64 * 2**20
"""Bytes of a file that is read as one piece: an architecture, a table, settings."""
MOST_RECORDS = 2**31
"""Bytes of a file of records: the journal of 10,000,000 trials has fewer."""
_LONGEST_STEM = 50


def open_regular(path: Path, *, append: bool = False) -> IO[bytes]:
    """Open a regular file for reading; with `append` also for writing at its end, unbuffered.

    Raises:
        OSError: if it is no regular file, or cannot be opened.
    """
    mode, buffering = ("a+b", 0) if append else ("rb", -1)
    file = open(path, mode, buffering=buffering, opener=_without_waiting)  # noqa: SIM115 - returned
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise _irregular(path)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, and a FIFO without waiting for its other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def read_bytes(path: Path, *, most: int = MOST_RECORDS) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises:
        OSError: if it is larger, no regular file, or cannot be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= most:
            return file.read()
    raise OSError(errno.EFBIG, f"larger than {most / 2**20:,.4g} MiB", str(path))


def read_text(path: Path, *, most: int = MOST_TEXT) -> str:
    r"""Return the content of a regular file of at most `most` bytes as text; lines end in "\n".

    Raises:
        OSError: if it is larger, no regular file, or cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
    """
    text = read_bytes(path, most=most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def atomic_path(path: Path, *, follow: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`, which replaces it when the block ends well.

    Readers of `path` see the old content or the new, never a part. A new file has the mode that the
    umask leaves, an old one keeps its own. A link is replaced like a file, so that no link in a
    foreign run folder leads out of it. With `follow`, for a path that the user names, the target of
    the link is replaced instead, and a FIFO or a device such as /dev/stdout is written to.

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
    """Tell whether `path` is to be written to, not replaced; so is /dev/stdout, even as a file.

    Raises:
        OSError: for a disk.
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
    """Give a new file beside `path`, with its mode, which replaces it in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.lstat().st_mode if os.path.lexists(path) else None
    if old and not (stat.S_ISREG(old) or stat.S_ISLNK(old) or stat.S_ISDIR(old)):
        raise _irregular(path)
    new = path.with_name(f".{path.stem[:_LONGEST_STEM]}-{secrets.token_hex(4)}{path.suffix}")
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)) as made:
        mode = old if old and stat.S_ISREG(old) else os.fstat(made.fileno()).st_mode
    try:
        yield new
        os.chmod(new, stat.S_IMODE(mode))  # some libraries put a file of their own there, for one
        os.replace(new, path)  # user alone
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))


def write_text(path: Path, text: str, *, follow: bool = False) -> None:
    """Write `text` to `path` atomically; `follow` is that of `atomic_path`."""
    with atomic_path(path, follow=follow) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` by their names into the folder `path`, a new one at once.

    In a folder that is there each file is replaced at once; hidden files and caches stay.

    Raises:
        BadFile: if it cannot be written, or holds other files than those.
    """
    there_is = path.resolve()
    new = there_is.with_name(f".{there_is.name[:_LONGEST_STEM] or 'root'}-{secrets.token_hex(4)}")
    try:
        there = {p.name for p in path.iterdir()} if os.path.lexists(path) else None
        others = sorted(n for n in there or () if n not in files and not n.startswith((".", "__")))
        if others:
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
