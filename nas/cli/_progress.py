"""Progress on stderr: a bar in a terminal, otherwise a line every ten seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nas.cli._print import say
from nas.core.progress import Report
from nas.core.text import safe

_SECONDS_BETWEEN_LINES = 10


@contextmanager
def progress(doing: str, things: str) -> Iterator[Report]:
    """Yield a function that shows the progress of `doing` something with some `things`."""
    if not sys.stderr.isatty():
        yield _Lines(things)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total, note: bar.update(
            task, completed=done, total=total, description=escape(safe(f"{doing} {note}".strip()))
        )


class _Lines:
    """Prints progress at most every ten seconds."""

    def __init__(self, things: str) -> None:
        self._things, self._last = things, time.monotonic()

    def __call__(self, done: int, total: int, note: str) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            more = f", {note}" if note else ""
            say(f"{done:,} of {total:,} {self._things}{more}")
