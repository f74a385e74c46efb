"""Streams for stdout and stderr whose failure does not end a command in the middle of its work.

Output that cannot be printed (full disk, closed stream, reader gone) is dropped, and reported by
the exit code at the end.
"""

import errno
import io
import os
import select
import sys
from typing import Any

import click

UNPRINTED, BROKEN_PIPE = 2, 141
_STANDARD = (0, 1, 2)


class _Sink(io.FileIO):
    """Writes to a file descriptor, and drops everything after the first failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write as much as possible."""
        while self.failure is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.failure = error
            else:
                if written is not None:
                    return written
                select.select((), (self,), ())  # a pipe that does not block, and is full
        return len(data)


class Streams:
    """Replaces stdout and stderr if they are the process's own, not those of a test."""

    def __init__(self) -> None:
        """Replace the streams."""
        _fill_gaps()
        self._out = _taken(1, "stdout")
        _taken(2, "stderr")

    def close(self, code: int) -> int:
        """Flush, and return the exit code: `code`, or that of a failed stdout.

        A failure of stdout is printed in one line, unless its reader (`head`, say) closed it.
        """
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        failure = self._out.failure if self._out else None
        if failure is None:
            return code
        if failure.errno == errno.EPIPE:
            return code or BROKEN_PIPE
        click.echo(f"error: stdout cannot be written: {failure.strerror}", err=True)
        return code or UNPRINTED


def _fill_gaps() -> None:
    """Open the null device for closed streams, so that no file of a run gets their descriptors.

    It is opened for reading, so that writing still fails.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free: this one


def _taken(number: int, name: str) -> _Sink | None:
    """Replace a stream of `sys`, unless somebody else has; return the sink it writes to.

    Characters that the encoding lacks are escaped, so that they cannot fail either.
    """
    now = getattr(sys, name)
    if now is not getattr(sys, f"__{name}__"):
        return None
    if now is None:  # it was closed when Python began, and its number may be another file's now
        number = os.open(os.devnull, os.O_RDONLY)
    sink = _Sink(number)
    stream = io.TextIOWrapper(
        io.BufferedWriter(sink),
        encoding=getattr(now, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    setattr(sys, name, stream)
    return sink
