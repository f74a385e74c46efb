"""Progress on stderr: a bar in a terminal, otherwise a line every ten seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from nas.cli._print import say
from nas.core.progress import Report
from nas.core.text import safe

_SECONDS_BETWEEN_LINES = 10


@contextmanager
def progress(doing: str, things: str, *, at_once: bool = False) -> Iterator[Report]:
    """Yield a function that shows the progress of `doing`, counted in `things`.

    A log gets a line after ten seconds, and with `at_once` one at the start, for work that may
    otherwise be silent for longer.
    """
    if not sys.stderr.isatty():
        yield _Lines(things, at_once=at_once)
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
    """Prints progress at most every ten seconds, and with `at_once` at the start."""

    def __init__(self, things: str, *, at_once: bool) -> None:
        self._things, self._at_once, self._last = things, at_once, time.monotonic()
        self._began, self._start = self._last, -1

    def __call__(self, done: int, total: int, note: str) -> None:
        now, first = time.monotonic(), self._start < 0
        if first:
            self._began, self._start = now, done
        early = now - self._last < _SECONDS_BETWEEN_LINES
        if early and not (first and self._at_once and not done):
            return
        self._last = now
        left = "" if " left" in note else self._left(done, total, now)
        facts = [f"{done:,} of {total:,} {self._things}", note, left]
        say(", ".join(fact for fact in facts if fact))

    def _left(self, done: int, total: int, now: float) -> str:
        """Return the time left at the rate so far, "" if unknown."""
        if done <= self._start:
            return ""
        seconds = (now - self._began) / (done - self._start) * (total - done)
        return f"about {timedelta(seconds=round(seconds))} left"
