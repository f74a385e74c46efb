"""A connection to `_remote` over a program such as ssh: commands there, answers back, as JSON."""

import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.progress import Report, quiet
from nas.core.text import printable
from nas.latency.devices import _remote

logger = logging.getLogger(__name__)
_CHUNK = 2**18
_LONGEST = 300
_NOTHING = "nas: no Python"
PLACES = ("$HOME/nas-venv/bin/python3", "python3", "$HOME/.venv/bin/python3", "python")
"""Where a device's Python is looked for; the first that has all packages is taken."""
_NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
_HAS = "import importlib.util as u, sys; sys.exit(None in map(u.find_spec, sys.argv[1:]))"
_READ = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"


class ConnectionLost(NasError):
    """The connection could not be made, or broke off; `reached` tells whether it was there."""

    def __init__(self, message: str, *, reached: bool) -> None:
        """Keep what the program said last."""
        super().__init__(message)
        self.reached = reached


def command(packages: Sequence[str], python: str = "") -> str:
    """Return the command for the login shell of a device that runs what it is sent in Python.

    It takes `python`, or the first Python with all `packages`, or else the first that is new
    enough.
    """
    places = [_quoted(python)] if python else [f'"{p}"' for p in (*PLACES, *_NEWER)]
    modules = " ".join(packages)
    script = (
        f"any=; best=; for p in {' '.join(places)}; do "
        '"$p" -c "import sys; sys.exit(sys.version_info < (3, 11))" </dev/null 2>/dev/null '
        '|| continue; any="${any:-$p}"; '
        f'"$p" -c "{_HAS}" {modules} </dev/null 2>/dev/null && best="$p" && break; '
        'done; p="${best:-$any}"; '
        f'[ -n "$p" ] || {{ echo "{_NOTHING}"; exit 1; }}; exec "$p" -u -c "{_READ}"'
    )
    return f"exec sh -c {shlex.quote(script)}"


def _quoted(python: str) -> str:
    """Return a path for a shell there; one that begins with ~/ is in the user's folder there."""
    if python.startswith("~/"):
        return '"$HOME"/' + shlex.quote(python[2:])
    return shlex.quote(python)


def _ignoring_interrupts(words: Sequence[str]) -> list[str]:
    """Return a command that ctrl-C in a terminal does not end, as it is needed once more then."""
    return ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words] if os.name == "posix" else [*words]


class Link:
    """A running program that carries commands to `_remote` and its answers back."""

    def __init__(self, words: Sequence[str], *, name: str) -> None:
        """Start the program; `name` is the device in messages.

        Raises:
            NasError: if there is no such program.
        """
        if shutil.which(words[0]) is None:
            raise NasError(f"there is no program {words[0]} here, which is needed to reach {name}")
        self._name, self._reached = name, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the link
        self._process = subprocess.Popen(
            _ignoring_interrupts(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        code = Path(_remote.__file__).read_bytes()
        self._send(b"%d\n" % len(code) + code)

    def ask(self, *words: Any) -> dict[str, Any]:
        """Send a command and return its answer.

        Raises:
            ConnectionLost: if the connection broke off.
            NasError: if the device could not do it; it says why.
        """
        self._send(strict_json.dumps(words).encode() + b"\n")
        return self._answer()

    def put(self, name: str, content: IO[bytes], size: int, report: Report = quiet) -> None:
        """Send the `size` bytes of a file.

        Raises:
            ConnectionLost, NasError: as `ask`.
        """
        self._send(strict_json.dumps(("put", name, size)).encode() + b"\n")
        sent = 0
        while chunk := content.read(_CHUNK):
            self._send(chunk)
            sent += len(chunk)
            report(sent, size, "")
        self._answer()

    def follow(self, skip: int) -> Iterator[dict[str, Any]]:
        """Yield what `_remote.follow` sends, the last with a key "end".

        Raises:
            ConnectionLost: as `ask`.
        """
        found = self.ask("follow", skip)
        while True:
            yield found
            if "end" in found:
                return
            found = self._answer()

    def stop(self) -> None:
        """End what runs on the device, whatever is being followed.

        Raises:
            ConnectionLost: as `ask`.
        """
        found = self.ask("stop")
        while "done" not in found:
            found = self._answer()

    def close(self) -> None:
        """End the program; what it started on the device continues."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._errors.close()

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # what it said before it ended is read as the answer
            self._process.stdin.write(content)
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        mark = _remote.MARK.encode()
        for line in iter(self._process.stdout.readline, b""):
            if line.strip() == _NOTHING.encode():
                raise NasError(
                    f"{self._name} has no Python 3.11 or newer that could be found; install one "
                    f"there, or name it: {self._name.replace(' ', ':', 1)},python=/path/to/python3"
                )
            if line.startswith(mark) and line.endswith(b"\n"):
                self._reached = True
                found: dict[str, Any] = strict_json.parse(line[len(mark) :])
                if "error" in found:
                    raise NasError(f"{self._name}: {found['error']}")
                return found
        raise self._lost()

    def _lost(self) -> ConnectionLost:
        """Return the error with the last line that the program wrote."""
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()] or ["the connection ended"]
        return ConnectionLost(
            f"{self._name}: {printable(said[-1], _LONGEST)}", reached=self._reached
        )
