"""Describe this machine, and pin the process to some of its cores."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from nas.core.errors import NasError
from nas.core.jsonl import Record

_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def describe(cores: Sequence[int]) -> Record:
    """Return the facts about this machine that a table records; unreadable ones are empty.

    `cores` are the cores that the process is pinned to.
    """
    first = f"cpu{cores[0]}/cpufreq" if cores else "cpu0/cpufreq"
    return {
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count() or 1,
        "cores": list(cores),
        "governor": _read(_CPUS / first / "scaling_governor"),
        "clock_mhz": _clock_mhz(first),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def cpu_name() -> str:
    """Return the model name of the processor."""
    if sys.platform == "darwin":
        return _command("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    info = _read(Path("/proc/cpuinfo"))
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    named = {key.strip().lower(): value.strip() for key, value in fields.items()}
    for key in ("model name", "hardware", "model"):
        if named.get(key) and not named[key].isdigit():
            return named[key]
    return _read(Path("/proc/device-tree/model")) or platform.processor() or platform.machine()


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory() -> float:
    """Return the bytes of memory of this machine or container; infinity if unknown."""
    limits = [_number(path) for path in _CGROUPS]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    return min(limits, default=inf)


def _number(path: Path) -> float:
    """Return the number in a file, infinity if it has none."""
    try:
        return float(_read(path).replace("max", "inf"))
    except ValueError:
        return inf


def pin(cores: Sequence[int] | None, *, threads: int) -> tuple[int, ...]:
    """Pin this process to `cores`, by default to the fastest, one per thread.

    Return the cores, none where the system does not allow pinning. The fastest cores have the
    highest clock; ties go to the last ones, since the first ones handle interrupts of devices.

    Raises:
        NasError: if one of `cores` may not be used.
    """
    if not hasattr(os, "sched_setaffinity"):  # macOS and Windows
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    if cores is None:
        fastest = sorted(allowed, key=lambda core: (_top_clock(core), core))
        cores = fastest[-threads:]
    missing = [core for core in cores if core not in allowed]
    if missing:
        raise NasError(f"core {missing[0]} is not among those that may be used: {allowed}")
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        return ()
    return tuple(sorted(cores))


def _top_clock(core: int) -> int:
    text = _read(_CPUS / f"cpu{core}/cpufreq/cpuinfo_max_freq")
    return int(text) if text.isdigit() else 0


def _clock_mhz(folder: str) -> int:
    """Return the current clock of a core, 0 if the system does not report it."""
    text = _read(_CPUS / folder / "scaling_cur_freq")
    if text.isdigit():
        return int(text) // 1000
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.lower().startswith("cpu mhz"):
            with suppress(ValueError):
                return round(float(line.split(":")[1]))
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _command(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
