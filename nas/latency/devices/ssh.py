"""A board or server with Python and the runtime, over ssh: ssh:user@host[:port].

The user's own `ssh` carries everything over one connection, with its configuration, agent and known
hosts. The bundle runs detached on the device and its samples are sent back as they come, so a lost
connection loses nothing.
"""

import logging
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.text import LONGEST_VALUE, printable, shown
from nas.latency.devices._link import ConnectionLost, Link, command
from nas.latency.devices._mirror import Mirror
from nas.latency.devices._remote import BUNDLE, SAMPLES
from nas.latency.measure.bundle import bundle_key, write_bundle
from nas.latency.measure.on_target import PORTABLE
from nas.latency.measure.rounds import MeasuringProgress, Rounds
from nas.latency.measure.run import Device, Measurement

logger = logging.getLogger(__name__)
_PACKAGES = {"numpy": "numpy", "onnxruntime": "onnxruntime", "ai_edge_litert": "ai-edge-litert"}
_RUNTIMES = {"onnxruntime": "onnxruntime", "litert": "ai_edge_litert"}
_PLACE = re.compile(r"(?:[^@\s:/]+@)?(?:\[[0-9A-Fa-f:.%\w]+\]|[^@\s:/\[\]]+)(?::[0-9]{1,5})?")
_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
_SPARE_BYTES = 16 * 2**20
_PAUSE_SECONDS = 5.0
_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """Measures on a device that `ssh` reaches.

    `python` is the interpreter there, by default the first with numpy and the runtime; `folder` is
    where the bundle and its samples lie there meanwhile, by default the user's cache. A lost
    connection is tried again for `retry` seconds.
    """

    host: str
    port: str
    python: str
    folder: str
    retry: float

    def measure(self, asked: Measurement) -> None:
        """Measure what is `asked`, or resume that; see `Device`."""
        if asked.target.backend not in PORTABLE:
            backend = shown(asked.target.backend)
            raise NasError(f"devices over ssh run {' and '.join(PORTABLE)}, not {backend}")
        with closing(Mirror(asked)) as mirror:
            known, until = -1, 0.0
            while True:
                try:
                    return self._connected(mirror)
                except ConnectionLost as error:
                    if len(mirror) > known and error.reached:  # else nothing comes of it
                        logger.warning("%s; what runs there continues; trying again", error)
                        known, until = len(mirror), time.monotonic() + self.retry
                    if time.monotonic() >= until:
                        raise self._given_up(error, mirror) from None
                    time.sleep(min(_PAUSE_SECONDS, self.retry))

    def _given_up(self, error: ConnectionLost, mirror: Mirror) -> NasError:
        if not len(mirror):
            return NasError(f"{error}; see whether this works: ssh {self._words()}")
        return NasError(
            f"{error}; the {len(mirror)} lines of samples so far are kept, what runs there "
            "continues, and the same command resumes"
        )

    def _words(self) -> str:
        return f"-p {self.port} {self.host}" if self.port else self.host

    def _connected(self, mirror: Mirror) -> None:
        """Measure over one connection."""
        asked = mirror.asked
        runtime = _RUNTIMES[asked.target.backend]
        port = ("-p", self.port) if self.port else ()
        words = ("ssh", "-T", *_ALIVE, *port, "--", self.host)
        packages = ("numpy", runtime)
        with closing(
            Link([*words, command(packages, self.python)], name=f"ssh {self.host}")
        ) as far:
            key = bundle_key(asked.plan, asked.target)
            there = far.ask("hello", self.folder, key, packages)
            self._check(there)
            with self._stopping(far):
                self._started(far, there, mirror)
                self._followed(far, mirror, there["folder"])
            far.ask("clean")

    def _check(self, there: dict[str, Any]) -> None:
        if there["missing"]:
            raise NasError(self._lacking(there))
        off = there["time"] - time.time()
        if abs(off) > _DAY:
            logger.warning(
                "the clock of %s is %.0f days off, and the table will have its date; "
                "times are measured without it",
                self.host,
                off / _DAY,
            )

    def _lacking(self, there: dict[str, Any]) -> str:
        """Return what is missing there, and how to install it where it will be found."""
        names = " ".join(_PACKAGES[name] for name in there["missing"])
        venv = "python3 -m venv ~/nas-venv && ~/nas-venv/bin/pip install"
        pip = f"{self.python} -m pip install {names}" if self.python else f"{venv} numpy {names}"
        return (
            f"{self.host}: its Python {there['python']} ({there['executable']}) lacks {names}; "
            f"install it there: ssh {self._words()} '{pip.replace('numpy numpy', 'numpy')}'"
        )

    @contextmanager
    def _stopping(self, far: Link) -> Iterator[None]:
        """End what runs on the device where the user interrupts."""
        try:
            yield
        except KeyboardInterrupt:
            try:
                far.stop()
            except NasError as error:
                logger.warning("%s; the measurement may go on there", error)
            raise

    def _started(self, far: Link, there: dict[str, Any], mirror: Mirror) -> None:
        """Bring what is missing there, and start the measurement, unless it runs."""
        if there["running"]:
            logger.info("%s is measuring already, in %s", self.host, there["folder"])
            return
        if mirror.started and there["exit"] is not None:
            return  # it ended while the connection was lost
        if not there["bundle"]:
            self._bring_bundle(far, there, mirror.asked)
        if len(mirror) > there["lines"]:
            content = mirror.content()
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.seek(0)
                far.put(SAMPLES, file, len(content))
        target, rounds = mirror.asked.target, mirror.asked.rounds
        words = ["--threads", str(target.threads), "--settings", _settings(rounds)]
        if target.cores:
            words += ["--cores", ",".join(map(str, target.cores))]
        far.ask("start", *words)
        mirror.started = True

    def _bring_bundle(self, far: Link, there: dict[str, Any], asked: Measurement) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / BUNDLE
            logger.info("packing %d models for %s", len(asked.plan.jobs), self.host)
            write_bundle(asked.plan, path, target=asked.target)
            size = path.stat().st_size
            if there["free"] < size + _SPARE_BYTES:
                raise NasError(
                    f"{self.host}: {there['folder']} has {there['free'] / 1e6:.0f} MB free, and "
                    f"{(size + _SPARE_BYTES) / 1e6:.0f} MB are needed; make room there, or name "
                    f"another folder: ssh:{self.host},folder=/path"
                )
            logger.info("copying %.1f MB to %s: %s", size / 1e6, self.host, there["folder"])
            with path.open("rb") as file:
                far.put(BUNDLE, file, size)

    def _followed(self, far: Link, mirror: Mirror, folder: str) -> None:
        """Take the samples as they come, until the measurement there ended."""
        number = max(len(mirror) - 1, 0)  # the last known line must be the same
        for found in far.follow(number):
            if "line" in found:
                mirror.take(number, found["line"])
                number += 1
            elif "progress" in found:
                mirror.asked.report(MeasuringProgress(**found["progress"]))
            elif "end" in found and found["end"] != "0":
                raise self._failed(found["end"], found["said"], folder)

    def _failed(self, code: str | None, log: str, folder: str) -> NasError:
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        said = printable(lines[-1].removeprefix("error: "), LONGEST_VALUE) if lines else ""
        if code is None:
            said = "ended without a word; it was restarted, or its disk is full"
        elif code == "137":
            said = "was killed, as where memory is short"
        again = "" if "same command" in said else "; the same command resumes"
        return NasError(f"{self.host}: {said}{again} (its files are in {folder})")


def _settings(rounds: Rounds) -> str:
    """Return `rounds` for the command line there, without what is infinite."""
    return strict_json.dumps({k: v for k, v in asdict(rounds).items() if v != inf})


def create(*, path: str = "", python: str = "", folder: str = "", retry: float = 180.0) -> Device:
    """Return the device at `path`, "user@host:port"; see `Ssh` for the others.

    Raises:
        NasError: if `path` is no such place.
    """
    if not _PLACE.fullmatch(path) or path.startswith("-"):
        raise NasError(f"device ssh:{path}: expected ssh:user@host or ssh:user@host:port")
    host, colon, port = path.rpartition(":")
    if not colon or path.endswith("]"):
        host, port = path, ""
    host = host.replace("[", "").replace("]", "")
    return Ssh(host=host, port=port, python=python, folder=folder, retry=retry)
