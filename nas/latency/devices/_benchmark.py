"""LiteRT's `benchmark_model`: its command line, and what it prints."""

import re
import shlex
from collections.abc import Sequence

from nas.core.errors import NasError
from nas.core.text import printable

MACHINES = {
    "arm64-v8a": 183,
    "armeabi-v7a": 40,
    "armeabi": 40,
    "x86_64": 62,
    "x86": 3,
    "riscv64": 243,
}
"""The machine in the header of a program, by what Android calls it."""

_SAME = 0.1
_RUNS_LINE = re.compile(r"count=(\d+)\b.*?\bmin=([\d.e+-]+)\b.*?\bavg=([\d.e+-]+)")
_AVERAGE_US = re.compile(r"Inference \(avg\): ([\d.e+-]+)(?!\S*\s*ms)")
_AVERAGE_MS = re.compile(r"Inference \(avg\): ([\d.e+-]+) ms(?: \((\d+) runs?\))?")
_REASONS = (
    "Didn't find op for builtin",
    "Encountered unresolved custom op",
    "Failed to allocate tensors",
    "Failed to apply",
    "Could not open",
    "No such file",
    "not executable",
    "CANNOT LINK",
    "ERROR",
    "Segmentation fault",
    "Aborted",
)
"""What a failed run prints, the most telling first."""


def command(
    program: str, model: str, *, threads: int, xnnpack: bool, seconds: float, runs: int
) -> str:
    """Return the command that runs `model` for at least `seconds` and `runs` times, after once."""
    flags = {
        "graph": model,
        "num_threads": threads,
        "num_runs": runs,
        "warmup_runs": 1,
        "warmup_min_secs": 0,
        "min_secs": seconds,
        "max_secs": 60,
        "use_xnnpack": str(xnnpack).lower(),
    }
    words = [program, *(f"--{key}={value}" for key, value in flags.items())]
    return " ".join(map(shlex.quote, words))


def times_ms(text: str) -> tuple[float, float]:
    """Return the fastest run and the average in milliseconds, which stands for the median.

    Both forms are read: microseconds, with lines of counts, the last of the runs after the warm-up,
    and milliseconds, which may say the average alone; it then stands for the fastest run, too.

    Raises:
        NasError: if there are none; it quotes the line that tells most.
    """
    runs = [found.groups() for found in _RUNS_LINE.finditer(text)]
    in_ms = _AVERAGE_MS.search(text)
    try:
        if runs:
            _, least, average = runs[-1]
            known = float(in_ms[1]) if in_ms else float(average) / 1e3
            if abs(float(average) / 1e3 - known) <= _SAME * known:
                return _checked(float(least) / 1e3, float(average) / 1e3)
        if in_ms:
            return _checked(float(in_ms[1]), float(in_ms[1]))
        if found := _AVERAGE_US.search(text):
            return _checked(float(found[1]) / 1e3, float(found[1]) / 1e3)
    except ValueError:
        pass
    raise NasError(f"benchmark_model gave no times: {reason(text)}")


def _checked(least: float, average: float) -> tuple[float, float]:
    if not 0 < least < 1e9:
        raise ValueError(least)
    return least, max(least, average)


def reason(text: str) -> str:
    """Return the line of the output of a failed run that tells most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for wanted in _REASONS:
        for line in lines:
            if wanted in line:
                return printable(line, 200)
    return printable(lines[-1], 200) if lines else "it printed nothing"


def check_program(content: bytes, path: str, *, abis: Sequence[str]) -> None:
    """Refuse a program that is not for one of the `abis` of a phone.

    Raises:
        NasError: saying which it is for.
    """
    if not content.startswith(b"\x7fELF"):
        raise NasError(f"{path} is no program for Android (no ELF file)")
    machine = int.from_bytes(content[18:20], "little")
    if machine not in {MACHINES.get(abi) for abi in abis}:
        names = [abi for abi, number in MACHINES.items() if number == machine]
        found = names[0] if names else f"machine {machine}"
        raise NasError(f"{path} is for {found}, and the phone is {', '.join(abis)}: take that one")
