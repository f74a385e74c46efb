"""What runs on a device that is reached by ssh: it keeps one measurement, and tells about it.

It is sent over the connection and read by the Python there, so it needs the standard library alone.
Commands come as lines of JSON on stdin, answers go as such lines to stdout, behind `MARK`, since
shells may print what they like before. The measurement is a process of its own session: whatever
happens to the connection, it continues.
"""

import fcntl
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

MARK = "nas: "
BUNDLE, SAMPLES, PROGRESS = "bundle.zip", "samples.jsonl", "progress.json"
_LOCK, _EXIT, _LOG, _PID = "lock", "exit", "log", "pid"
_CHUNK, _PAUSE_SECONDS, _MAX_SAID = 2**20, 0.5, 2000
_KEEP_EXIT = '"$@"; echo $? > exit.new; mv exit.new exit'


def answer(**facts: Any) -> None:
    """Send one answer."""
    sys.stdout.write(MARK + json.dumps(facts) + "\n")
    sys.stdout.flush()


def hello(folder: str, key: str, packages: list[str]) -> Path:
    """Tell what is here, and return the folder of the measurement `key`, made where it is not.

    `folder` is where the user wants it; otherwise it is the user's cache, or where temporary files
    lie. `packages` maps modules to what installs them.
    """
    place = _made(folder, key)
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    answer(
        python=platform.python_version(),
        executable=sys.executable,
        missing=missing,
        versions={name: _version(name) for name in packages if name not in missing},
        folder=str(place),
        free=shutil.disk_usage(place).free,
        bundle=(place / BUNDLE).exists(),
        time=time.time(),
        **state(place),
    )
    return place


def _made(folder: str, key: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    bases = [folder] if folder else [f"{cache}/nas", f"{tempfile.gettempdir()}/nas-{os.getuid()}"]
    for base in bases:
        place = Path(base).expanduser() / f"measure-{key}"
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            failure = error
        else:
            if place.stat().st_uid == os.getuid():
                return place
            failure = PermissionError(1, "belongs to another user", str(place))
    answer(error=f"{failure.filename}: {failure.strerror}")
    sys.exit(1)


def _version(module: str) -> str:
    for name in (module, module.replace("_", "-")):
        with suppress(PackageNotFoundError):
            return version(name)
    return ""


def state(place: Path) -> dict[str, Any]:
    """Return whether the measurement runs, how it ended, and how many samples there are."""
    running = is_running(place)
    return {
        "running": running,
        "exit": None if running else _text(place / _EXIT).strip() or None,
        "lines": _bytes(place / SAMPLES).count(b"\n"),
    }


def is_running(place: Path) -> bool:
    """Tell whether the measurement runs."""
    lock = _locked(place)
    if lock is not None:
        lock.close()
    return lock is None


def _locked(place: Path) -> "IO[bytes] | None":
    """Return the lock that a measurement holds while it runs, taken; None where one runs."""
    file = (place / _LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def put(place: Path, name: str, size: int) -> None:
    """Write `size` bytes from stdin into a file, which is there only once it is complete."""
    failure, left, new = "", size, place / f"{name}.new"
    try:
        with new.open("wb", buffering=0) as file:
            while left:
                chunk = sys.stdin.buffer.read(min(left, _CHUNK))
                if not chunk:
                    sys.exit(1)  # the connection is gone
                left -= len(chunk)
                while chunk:
                    chunk = chunk[file.write(chunk) :]
            os.fsync(file.fileno())
        new.replace(place / name)
    except OSError as error:
        failure = f"{place / name}: {error.strerror}"
        with suppress(OSError):
            new.unlink()
    while left:  # or what follows would be taken for commands
        left -= len(sys.stdin.buffer.read(min(left, _CHUNK)) or sys.exit(1))
    answer(error=failure) if failure else answer(done=True)


def start(place: Path, words: list[str]) -> None:
    """Start the bundle with the arguments `words`, unless it runs already."""
    lock = _locked(place)
    if lock is not None:
        try:
            for name in (_EXIT, PROGRESS):
                with suppress(FileNotFoundError):
                    (place / name).unlink()
            _launch(place, lock, words)
        except OSError as error:
            answer(error=f"{place}: {error.strerror}")
            return
    answer(done=True)


def _launch(place: Path, lock: "IO[bytes]", words: list[str]) -> None:
    with lock, (place / _LOG).open("wb") as log:
        command = [sys.executable, BUNDLE, "--out", SAMPLES, "--progress", PROGRESS, *words]
        process = subprocess.Popen(
            ["sh", "-c", _KEEP_EXIT, "sh", *command],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.fileno(),),
            start_new_session=True,
        )
        (place / _PID).write_text(str(process.pid), encoding="ascii")


def follow(place: Path, skip: int) -> None:
    """Send the lines of samples after the first `skip`, as they come, until the process ended.

    The next command ends that earlier.
    """
    offset, last = _end_of_lines(_bytes(place / SAMPLES), skip), ""
    while True:
        running = is_running(place)  # before reading, so that nothing after it is missed
        offset = _send_lines(place, offset)
        progress = _text(place / PROGRESS)
        if progress and progress != last:
            last = progress
            answer(progress=json.loads(progress))
        else:
            answer(alive=True)  # fails where nobody listens any more
        if not running:
            answer(end=state(place)["exit"], said=_text(place / _LOG)[-_MAX_SAID:])
            return
        if select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0]:  # a command, or nobody is there
            return


def _send_lines(place: Path, offset: int) -> int:
    try:
        with (place / SAMPLES).open("rb") as file:
            file.seek(offset)
            *lines, _ = file.read().split(b"\n")
    except OSError:
        return offset
    for line in lines:
        answer(line=line.decode("utf-8", "replace"))
    return offset + sum(len(line) + 1 for line in lines)


def _end_of_lines(content: bytes, count: int) -> int:
    """Return where the first `count` lines end."""
    end = 0
    for _ in range(count):
        end = content.index(b"\n", end) + 1
    return end


def stop(place: Path) -> None:
    """End the measurement, which keeps its samples."""
    with suppress(OSError, ValueError):
        if is_running(place):
            os.killpg(int(_text(place / _PID)), signal.SIGTERM)
    answer(done=True)


def clean(place: Path) -> None:
    """Remove the folder of the measurement, unless it runs."""
    if not is_running(place):
        shutil.rmtree(place, ignore_errors=True)
    answer(done=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def main() -> None:
    """Do what stdin asks for until it ends."""
    place = Path()
    for line in iter(sys.stdin.buffer.readline, b""):
        match json.loads(line):
            case ["hello", folder, key, packages]:
                place = hello(folder, key, packages)
            case ["put", name, size]:
                put(place, name, size)
            case ["start", *words]:
                start(place, words)
            case ["follow", skip]:
                follow(place, skip)
            case ["stop"]:
                stop(place)
            case ["clean"]:
                clean(place)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
