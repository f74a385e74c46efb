"""Append-only files of JSON lines that survive a kill at any byte.

A last line without a newline was being written when the process died: it is dropped with a warning.
This module needs only the standard library, so that it runs on the devices that are measured.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nas.core import strict_json
from nas.core.errors import RunError
from nas.core.files import open_regular
from nas.core.schema import Reader

try:
    import fcntl
except ImportError:  # on Windows, where a second writer of a file goes unnoticed
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
Record = Mapping[str, Any]
_THEN = "; restore the file or begin a new one"


class Lines:
    """An open file of JSON lines: the records it held when it was opened, and a way to append.

    `writer` names in errors who else may be writing, as in "another search". If the file is removed
    while it is open, alone or with its folder, it is written again with all its content.

    Raises:
        RunError: if it cannot be opened or written, another process writes into it, or a line
            before the last is damaged.
    """

    def __init__(self, path: Path, *, writer: str) -> None:
        """Open the file at `path`, creating it if it does not exist."""
        self.path, self._there, self._writer = path, path.absolute(), writer
        self._file = self._opened()
        try:
            self._file.seek(0)
            self.records, end = parse(self._file.read(), source=str(path))
            self._file.truncate(end)
        except RunError:
            self._file.close()
            raise

    def _opened(self) -> IO[bytes]:
        """Return the file, open and locked, creating its folder if necessary."""
        try:
            self._there.parent.mkdir(parents=True, exist_ok=True)
            file = open_regular(self._there, append=True)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}") from None
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise RunError(f"{self.path}: {self._writer} is writing into this file") from None
        return file

    def restore(self) -> None:
        """Write the file again if it was removed meanwhile.

        Raises:
            RunError: if that is not possible, or another file has taken its place.
        """
        try:
            same = os.path.samestat(os.fstat(self._file.fileno()), self._there.stat())
        except OSError:
            gone = self.path if self._there.parent.is_dir() else self.path.parent
            logger.warning("%s was removed; writing it again, with %s", gone, self.path.name)
            old, self._file = self._file, self._opened()
            with old:
                old.seek(0)
                self._write(old.read())
            return
        if not same:
            raise RunError(f"{self.path} was replaced by another file; nothing is written into it")

    def append(self, record: Record) -> None:
        """Append one record; a kill right after this call loses nothing."""
        self.restore()
        self._write(strict_json.dumps(record).encode() + b"\n")

    def _write(self, rest: bytes) -> None:
        """Write all of `rest`, or nothing."""
        start = os.fstat(self._file.fileno()).st_size
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(start)
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; everything before is kept: "
                "make room and start the same command again"
            ) from None

    def close(self) -> None:
        """Flush everything to the disk and release the lock."""
        if self._file.closed:
            return
        with self._file:
            os.fsync(self._file.fileno())


@contextmanager
def resumed(path: Path, header: Record, *, writer: str) -> Iterator[Lines]:
    """Yield the lines at `path` to be read; a new file begins with `header`.

    The file stays open, unless the block raises a RunError, which means it cannot be continued.
    """
    lines = Lines(path, writer=writer)
    try:
        if not lines.records:
            lines.append(header)
            lines.records = [header]
        yield lines
    except RunError:
        lines.close()
        raise


def parse(content: bytes, *, source: str) -> tuple[list[Record], int]:
    """Return the records in `content`, and how many bytes of it are finished lines.

    NaN and Infinity, which earlier versions wrote, are accepted.

    Raises:
        RunError: if a finished line is not a record.
    """
    end = content.rfind(b"\n") + 1
    if not end and not b"{".startswith(content[:1]):
        raise damaged(source, 1)  # another file, which must not be truncated
    if end < len(content):
        logger.warning("%s: dropped a last line that was not finished", source)
    records: list[Record] = []
    for number, line in enumerate(content[:end].split(b"\n")[:-1], start=1):
        try:
            record = strict_json.parse(line, constants=True)
        except strict_json.Malformed as error:
            raise damaged(source, number, str(error)) from None
        if not isinstance(record, dict):
            raise damaged(source, number, "is not a mapping")
        records.append(record)
    return records, end


def damaged(source: Path | str, number: int, problem: str = "") -> RunError:
    """Return the error for a damaged line, counted from 1."""
    reason = f": {problem}" if problem else ""
    return RunError(f"{source}, line {number}: damaged{reason}{_THEN}")


def line_reader(source: Path | str, number: int) -> Reader:
    """Return a reader of one line, counted from 1, that reports wrong values as damage."""
    return Reader(source, line=number, error=RunError, damage="damaged: ", then=_THEN)
