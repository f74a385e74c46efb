"""Work on a folder at a URL in a local copy.

Everything is fetched at the start; changes are sent every few seconds and once more at the end,
when the copy is removed. A killed process leaves its copy, in which the next one finds the lines
that were never sent.
"""

import logging
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from nas.core.errors import NasError, RunError
from nas.core.storage.systems import LOG, Storage

logger = logging.getLogger(__name__)
Stamp = tuple[int, int, int]
"""The modification time, inode number and size of a file."""

SECONDS_BETWEEN_SENDS = 5.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between attempts at operations that must survive a failing network."""

_MARK = ".unsent"
"""A file at the URL that says which copy may hold unsent changes.

A file beside the copy has the same content: if both agree, nobody else has worked there since.
"""


@contextmanager
def working_copy(url: str, here: Path, *, retry: bool) -> Iterator[None]:
    """Keep the local folder `here` a working copy of the folder at `url`.

    After a kill, the content of the URL counts; on the same machine, files and JSON lines that were
    never sent are kept too. A failed upload is repeated. With `retry`, so are a failed download
    and opening a URL that another process, perhaps just killed, still has open.

    Raises:
        RunError: if the URL cannot be read or written, or another process of this machine works on
            it. Errors of the block that name `here` name the URL instead.
    """
    copy = _Copy(url, here)
    pauses = PAUSES if retry else ()
    with ExitStack() as stack:
        with_retries(lambda: stack.enter_context(_lock(here, url)), pauses)
        with_retries(copy.fetch, pauses)
        with _sending(copy), named(here, url):
            yield


class _Copy:
    """The local copy of the folder at a URL; remembers what was sent."""

    def __init__(self, url: str, here: Path) -> None:
        self.url, self.here = url, here
        self._there = Storage(url)
        self._sent: dict[str, Stamp] = {}
        self._mark = f"{uuid4()} {socket.gethostname()} {here}".encode()
        self._mark_here = here.with_name(f"{here.name}{_MARK}")

    def fetch(self) -> None:
        """Make the local folder equal to the URL, except for what was never sent."""
        found = self._there.read(_MARK)
        if not found:
            _set_aside(self.here, self.url)
        if is_ours := self._mark_here.is_file() and self._mark_here.read_bytes() == found:
            self._mark = found
        self.here.mkdir(parents=True, exist_ok=True)
        self._there.write(_MARK, self._mark)
        self._sent = {}
        names = self._there.names()
        for name in set(_stamps(self.here)) - set(names):
            if not (name.endswith(LOG) or is_ours):
                (self.here / name).unlink()
        for name in names:
            path = self.here / name
            if not (name.endswith(LOG) and _is_longer(path, self._there.read(name))):
                self._there.fetch(name, path)
                self._sent[name] = _stamp(path)
        self._mark_here.write_bytes(self._mark)

    def send(self) -> None:
        """Upload what has changed, and remove at the URL what was removed here.

        Files are sent in the order they were written, so that a kill leaves a state that existed
        here. Logs are sent last, so that none is ahead of the files beside it.
        """
        if not self.here.is_dir():
            raise NasError(f"{self.here}, the working copy of {self.url}, was removed")
        now = _stamps(self.here)
        if now != self._sent:
            self._check_owner()
        for name in sorted(now, key=lambda name: (name.endswith(LOG), now[name])):
            if self._sent.get(name) != now[name]:
                self._there.send(self.here / name, name)
                self._sent[name] = now[name]
        gone = [name for name in self._sent if name not in now]
        self._there.remove(gone)
        for name in gone:
            del self._sent[name]

    def _check_owner(self) -> None:
        """Refuse to replace what another process writes; send everything again if all is gone.

        Raises:
            NasError: if there is another process.
        """
        found = self._there.read(_MARK)
        if found == self._mark:
            return
        if found or self._there.names():
            host = found.decode(errors="replace").partition(" ")[2].partition(" ")[0]
            another = f"another process, on {host}," if host else "another process"
            raise NasError(f"{self.url}: {another} has written there since")
        self._there.write(_MARK, self._mark)
        self._sent = {}

    def send_until(self, ended: threading.Event) -> None:
        """Send changes repeatedly; what fails is sent the next time."""
        failing, pause = False, SECONDS_BETWEEN_SENDS / 10  # the first files soon
        while not ended.wait(pause):
            pause = SECONDS_BETWEEN_SENDS
            try:
                self.send()
                failing = False
            except (NasError, OSError) as error:
                if not failing:
                    logger.warning("%s; will try again", error)
                failing = True

    def finish(self) -> None:
        """Send the rest, and remove the copy.

        Raises:
            RunError: if the rest cannot be sent; it says where the copy is.
        """
        try:
            with_retries(self.send)
        except NasError as error:
            raise RunError(
                f"{error}; everything is in {self.here} on {socket.gethostname()}, where the same "
                "command resumes it"
            ) from None
        shutil.rmtree(self.here, ignore_errors=True)  # first: a kill in between leaves only marks
        with_retries(lambda: self._there.remove([_MARK]))
        self._mark_here.unlink(missing_ok=True)


@contextmanager
def _sending(copy: _Copy) -> Iterator[None]:
    """Send changes in a thread, and the rest at the end, even after errors."""
    ended = threading.Event()
    thread = threading.Thread(target=copy.send_until, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        ended.set()
        thread.join()
        try:
            copy.finish()
        except NasError as error:  # the error that ended the work is raised
            logger.warning("%s", error)
        raise
    ended.set()
    thread.join()
    copy.finish()


@contextmanager
def named(here: Path, url: str) -> Iterator[None]:
    """Make errors of the block name `url` instead of the folder `here`."""
    try:
        yield
    except NasError as error:
        error.args = (str(error.args[0]).replace(str(here), url), *error.args[1:])
        raise


@contextmanager
def _lock(here: Path, url: str) -> Iterator[None]:
    """Lock the folder `here` against other processes of this machine.

    Raises:
        RunError: if another process holds the lock, or it cannot be written.
    """
    from filelock import FileLock, Timeout  # imported lazily, since it takes a tenth of a second

    path = here.with_name(f"{here.name}.lock")
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except Timeout:
        raise RunError(f"{url}: another process on this machine is writing there") from None
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    with held:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows cannot remove an open file
                path.unlink()


def _set_aside(here: Path, url: str) -> None:
    """Rename a leftover local folder: no mark says that it has unsent changes."""
    if _stamps(here):
        aside = here.with_name(f"{here.name}-{time.time():.0f}")
        here.rename(aside)
        logger.warning("%s begins again; the copy of an earlier one is now in %s", url, aside)


def _stamps(here: Path) -> Mapping[str, Stamp]:
    """Return the stamps of all files by name, to detect changes."""
    found = {}
    for path in (*here.glob("*"), *here.glob("*/*")):
        parts = path.relative_to(here).parts
        with suppress(FileNotFoundError):  # removed meanwhile
            if path.is_file() and not any(part.startswith(".") for part in parts):
                found["/".join(parts)] = _stamp(path)
    return found


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _is_longer(path: Path, there: bytes) -> bool:
    """Return whether a local file has the finished lines of the remote one, and more."""
    lines = there[: there.rfind(b"\n") + 1]
    here = path.read_bytes() if path.is_file() else b""
    return len(here) > len(lines) and here.startswith(lines)


def with_retries(action: Callable[[], None], pauses: Sequence[float] | None = None) -> None:
    """Call `action`; if it fails, try again after each of the pauses."""
    for pause in PAUSES if pauses is None else pauses:
        try:
            return action()
        except RunError as error:
            logger.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    return action()
