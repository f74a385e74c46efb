"""A working copy: a folder here, of what is kept at a URL, while it is worked on.

Everything is fetched; changes are sent every few seconds, and once more at the end; then nothing is
left here. A process that is killed leaves its copy, in which the next one finds the lines that were
never sent.
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
"""When a file was written, its number and its size."""

SECONDS_BETWEEN_SENDS = 5.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between the attempts at what must survive a failing network."""

_MARK = ".unsent"
"""A file at a URL while something here may not have been sent yet; it says where.

Its content lies beside the copy too: equal ones mean that nobody else has worked there since.
"""


@contextmanager
def working_copy(url: str, here: Path, *, patient: bool) -> Iterator[None]:
    """Keep the folder `here` a copy of what is at `url`, to work in.

    After a kill, what is at the URL counts, and on the same machine also files that were never
    sent, and of files of JSON lines the lines that were never sent. A failed sending is tried
    again. With `patient`, so is a failed fetching, and opening what another process has open, whose
    search may just have been killed.

    Raises:
        RunError: if the URL cannot be read or written, or another process of this machine works on
            it. Errors of the block that name `here` name the URL instead.
    """
    copy = _Copy(url, here)
    pauses = PAUSES if patient else ()
    with ExitStack() as stack:
        patiently(lambda: stack.enter_context(_lock(here, url)), pauses)
        patiently(copy.fetch, pauses)
        with _sending(copy), named(here, url):
            yield


class _Copy:
    """The copy, in a folder here, of what is at a URL; remembers what was sent."""

    def __init__(self, url: str, here: Path) -> None:
        self.url, self.here = url, here
        self._there = Storage(url)
        self._sent: dict[str, Stamp] = {}
        self._mark = f"{uuid4()} {socket.gethostname()} {here}".encode()
        self._mark_here = here.with_name(f"{here.name}{_MARK}")

    def fetch(self) -> None:
        """Make the folder here equal to the URL, but for what was never sent."""
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
        """Send what has changed, and remove there what was removed here.

        What was written first is sent first, so that a kill leaves a state that existed here. Logs
        are sent last, so that none says more than the files beside it.
        """
        if not self.here.is_dir():
            raise NasError(f"{self.here} was removed, in which {self.url} is worked on")
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
        """Refuse to replace what another process writes; send all again where all is gone.

        Raises:
            NasError: if there is another.
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
        """Send again and again; what fails is sent the next time."""
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
            RunError: if it cannot be sent; it says where it is.
        """
        try:
            patiently(self.send)
        except NasError as error:
            raise RunError(
                f"{error}; everything is in {self.here} on {socket.gethostname()}, where the same "
                "command resumes it"
            ) from None
        shutil.rmtree(self.here, ignore_errors=True)  # first: a kill in between leaves only marks
        patiently(lambda: self._there.remove([_MARK]))
        self._mark_here.unlink(missing_ok=True)


@contextmanager
def _sending(copy: _Copy) -> Iterator[None]:
    """Send changes in a thread, and the rest in the end, after errors too."""
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
    """Let errors of the block name `url` instead of the folder `here`."""
    try:
        yield
    except NasError as error:
        error.args = (str(error.args[0]).replace(str(here), url), *error.args[1:])
        raise


@contextmanager
def _lock(here: Path, url: str) -> Iterator[None]:
    """Keep other processes of this machine from the folder `here`.

    Raises:
        RunError: if one has it, or nothing can be written here.
    """
    from filelock import FileLock, Timeout  # which takes a tenth of a second

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
            with suppress(OSError):  # on Windows, where an open file stays
                path.unlink()


def _set_aside(here: Path, url: str) -> None:
    """Move what is here away: no mark says that some of it was never sent."""
    if _stamps(here):
        aside = here.with_name(f"{here.name}-{time.time():.0f}")
        here.rename(aside)
        logger.warning("%s begins again; the copy of an earlier one is now in %s", url, aside)


def _stamps(here: Path) -> Mapping[str, Stamp]:
    """Return the stamps of all files by their names, to see what has changed."""
    found = {}
    for path in (*here.glob("*"), *here.glob("*/*")):
        parts = path.relative_to(here).parts
        with suppress(FileNotFoundError):  # it was there a moment ago
            if path.is_file() and not any(part.startswith(".") for part in parts):
                found["/".join(parts)] = _stamp(path)
    return found


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _is_longer(path: Path, there: bytes) -> bool:
    """Tell whether a file here has the lines of the one there, and more."""
    lines = there[: there.rfind(b"\n") + 1]
    here = path.read_bytes() if path.is_file() else b""
    return len(here) > len(lines) and here.startswith(lines)


def patiently(action: Callable[[], None], pauses: Sequence[float] | None = None) -> None:
    """Do it, and try again after each of the pauses where it fails."""
    for pause in PAUSES if pauses is None else pauses:
        try:
            return action()
        except RunError as error:
            logger.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    return action()
