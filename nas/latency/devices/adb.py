"""An Android phone, over adb, by LiteRT's benchmark_model: adb:benchmark_model=PATH, adb:SERIAL,...

The rounds are driven from here. Every repetition is a process of its own on the phone, bound to the
chosen cores; models are copied in batches that fit into its free space.
"""

import hashlib
import logging
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from nas.core.errors import BadFile, NasError
from nas.core.files import read_bytes
from nas.core.plugins import Plugin
from nas.core.text import shown
from nas.latency.devices._benchmark import check_program, command, reason, times_ms
from nas.latency.devices._phone import Facts, Phone, find_phone
from nas.latency.devices._store import Store
from nas.latency.measure.bundle import bundle_key
from nas.latency.measure.plan import to_mapping
from nas.latency.measure.rounds import Repeat, Rounds, measure_with
from nas.latency.measure.run import Device, Measurement
from nas.latency.measure.samples import SampleFile, header

logger = logging.getLogger(__name__)
_TEMPORARY = "/data/local/tmp"
_PROGRAM = "benchmark_model"
_USED_SHARE = 0.8
_SECONDS_BETWEEN_LOOKS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdbDevice:
    """Measures on a phone.

    `benchmark_model` is the program for the phone's ABI, here; `xnnpack` is whether it uses
    XNNPACK. Nothing is measured while a processor has more than `celsius` degrees, or Android says
    that it is throttled, for at most `cooling` seconds in a row; a phone that is away is waited for
    `retry` seconds.
    """

    serial: str
    benchmark_model: str
    xnnpack: bool
    celsius: float
    cooling: float
    retry: float

    def measure(self, asked: Measurement) -> None:
        """Measure what is `asked`, or resume that; see `Device`."""
        if Plugin.parse(asked.target.backend).name != "litert":
            raise NasError(f"phones run litert models, not {shown(asked.target.backend)}")
        backend = asked.target.create()
        program = self._program()
        phone = find_phone(self.serial, retry=self.retry)
        facts = phone.facts()
        check_program(program, self.benchmark_model, abis=facts.abis)
        cores = asked.target.cores or facts.fastest(asked.target.threads)
        digest = hashlib.sha256(program).hexdigest()[:8]
        head = header(
            to_mapping(asked.plan),
            runtime=f"litert by benchmark_model {digest}{'' if self.xnnpack else ', no XNNPACK'}",
            threads=asked.target.threads,
            dtype=asked.target.dtype,
            graph=asked.target.graph,
        )
        folder = f"{_TEMPORARY}/nas-{bundle_key(asked.plan, asked.target)}"
        with (
            closing(SampleFile(asked.path, head, instead=asked.instead)) as file,
            _folder(phone, folder, Path(self.benchmark_model)),
            tempfile.TemporaryDirectory() as scratch,
        ):
            store = Store(
                phone, folder, backend, asked.plan.jobs, int(_bytes_free(phone)), Path(scratch)
            )
            timer = _OnPhone(store, self, cores=cores, threads=asked.target.threads)
            known = _machine(facts, cores, asked.target.backend)
            measure_with(timer, file, rounds=asked.rounds, machine=known, report=asked.report)

    def _program(self) -> bytes:
        if not self.benchmark_model:
            raise NasError(
                "a phone needs LiteRT's benchmark_model for it, which its project publishes for "
                "android_aarch64: adb:benchmark_model=PATH or adb:SERIAL,benchmark_model=PATH"
            )
        try:
            return read_bytes(Path(self.benchmark_model))
        except OSError as error:
            raise BadFile(f"{self.benchmark_model}: {error.strerror or error}") from None


@contextmanager
def _folder(phone: Phone, folder: str, program: Path) -> Iterator[None]:
    """Make a folder on the phone with the program in it, and remove it in the end."""
    try:
        phone.shell(f"rm -rf {folder}; mkdir -p {folder}")
        phone.push([program.resolve()], folder)
        name = shlex.quote(f"./{program.resolve().name}")
        phone.shell(f"cd {folder} && mv {name} {_PROGRAM}; chmod 755 {_PROGRAM}")
        yield
    finally:
        with suppress(NasError):  # it may be away
            phone.shell(f"rm -rf {folder}")


def _bytes_free(phone: Phone) -> float:
    return _USED_SHARE * phone.free_bytes(_TEMPORARY)


def _machine(facts: Facts, cores: Sequence[int], backend: str) -> Mapping[str, Any]:
    known = {core.number: core for core in facts.cores}
    first = known.get(cores[0]) if cores else None
    named = facts.named
    return {
        "cpu": facts.name,
        "cpu_count": len(facts.cores),
        "cores": list(cores),
        "governor": first.governor if first else "",
        "clock_mhz": (first.khz // 1000) if first else 0,
        "system": f"Android {named.get('android', '')}, SDK {named.get('sdk', '')}",
        "date": datetime.now(UTC).date().isoformat(),
        "backend": backend,
        "facts": {
            "abi": facts.abis[0],
            "soc": named.get("soc") or named.get("platform", ""),
            "battery": facts.battery,
            "highest clock": f"{first.most_khz // 1000} MHz" if first else "",
        },
    }


@dataclass
class _OnPhone:
    """Repeats jobs on a phone, when it is cool."""

    store: Store
    device: AdbDevice
    cores: Sequence[int]
    threads: int
    _wanted: list[int] = field(default_factory=list)
    _looked: float = float("-inf")

    def arranged(self, jobs: list[int]) -> list[int]:
        """Return the jobs batch by batch."""
        self._wanted = self.store.arranged(jobs)
        return self._wanted

    def prepare(self, job: int) -> Repeat:
        """Bring the model of a job to the phone."""
        path = self.store.place(job, self._wanted)
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            waited = self.store.phone.cool_down(
                self.device.celsius, wait=self.device.cooling, poll=_SECONDS_BETWEEN_LOOKS
            )
            if waited > _SECONDS_BETWEEN_LOOKS / 2:
                logger.info("the phone was hot; waited %.0f s", waited)
            self._looked = time.monotonic()
        return partial(self._repeat, path)

    def _repeat(self, path: str, rounds: Rounds) -> tuple[float, float]:
        line = command(
            f"{self.store.folder}/{_PROGRAM}",
            path,
            threads=self.threads,
            xnnpack=self.device.xnnpack,
            seconds=rounds.repetition_seconds,
            runs=rounds.runs,
        )
        mask = sum(1 << core for core in set(self.cores))
        text, status = self.store.phone.shell(f"taskset {mask:x} {line}" if mask else line)
        if status:
            raise NasError(f"benchmark_model failed ({status}): {reason(text)}")
        return times_ms(text)


def backend(**_: object) -> str:
    """Return the backend whose models phones run."""
    return "litert"


def create(  # options of the plugin
    *,
    path: str = "",
    benchmark_model: str = "",
    xnnpack: bool = True,
    celsius: float = 75.0,
    cooling: float = 600.0,
    retry: float = 180.0,
) -> Device:
    """Return the phone with the serial number `path`, or the only one; see `AdbDevice`."""
    return AdbDevice(
        serial=path,
        benchmark_model=benchmark_model,
        xnnpack=xnnpack,
        celsius=celsius,
        cooling=cooling,
        retry=retry,
    )
