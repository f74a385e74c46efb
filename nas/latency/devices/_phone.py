"""A phone that `adb` reaches: commands in its shell, files, facts, heat."""

import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.core.errors import NasError, RunError
from nas.core.text import printable

_END = "nas-exit"
_AFTER = "; the samples so far are kept, and the same command resumes"
_POLL_SECONDS = 2.0
_COMMAND_SECONDS = 300
_CPU_ZONE = re.compile(r"cpu|soc|tsens|big|little|cluster", re.IGNORECASE)
_SKIN_ZONE = re.compile(r"skin|battery|quiet|shell|xo_therm", re.IGNORECASE)
_SKIN_CELSIUS = 43.0
_THROTTLED = 2
"""Android's thermal status from which on the clock is lowered."""

_PROPERTIES = {
    "maker": "ro.product.manufacturer",
    "model": "ro.product.model",
    "soc": "ro.soc.model",
    "platform": "ro.board.platform",
    "abis": "ro.product.cpu.abilist",
    "android": "ro.build.version.release",
    "sdk": "ro.build.version.sdk",
}
_FACTS = (
    *(f'echo "{name}=$(getprop {key})"' for name, key in _PROPERTIES.items()),
    "for c in /sys/devices/system/cpu/cpu[0-9]*; do "
    'echo "cpu=${c##*/cpu} $(cat $c/cpufreq/cpuinfo_max_freq || echo 0)'
    ' $(cat $c/cpufreq/scaling_cur_freq || echo 0) $(cat $c/cpufreq/scaling_governor)"; done',
    "dumpsys battery",
)
_HEAT = (
    "for z in /sys/class/thermal/thermal_zone*; do "
    'echo "$(cat $z/type)=$(cat $z/temp)"; done; dumpsys thermalservice'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A core: its number, its highest and its present clock in kHz, and its governor."""

    number: int
    most_khz: int
    khz: int
    governor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a phone says of itself; what it does not say is empty."""

    named: Mapping[str, str]
    cores: tuple[Core, ...]
    battery: str

    @property
    def abis(self) -> tuple[str, ...]:
        """What programs it runs, the best first."""
        return tuple(self.named.get("abis", "").split(","))

    @property
    def name(self) -> str:
        """Maker, model and chip."""
        chip = self.named.get("soc") or self.named.get("platform", "")
        text = f"{self.named.get('maker', '')} {self.named.get('model', '')}".strip()
        return f"{text} ({chip})" if chip else text

    def fastest(self, threads: int) -> tuple[int, ...]:
        """Return the numbers of as many of the fastest cores as there are threads."""
        cores = sorted(self.cores, key=lambda core: (core.most_khz, core.number))
        return tuple(sorted(core.number for core in cores[-threads:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One phone; a connection that is lost is waited for, `retry` seconds."""

    serial: str
    retry: float

    def shell(self, command: str) -> tuple[str, int]:
        """Return what a command in the phone's shell prints, stderr too, and its exit status.

        Raises:
            RunError: if the phone is away for longer than `retry`.
        """
        until = time.monotonic() + self.retry
        while True:
            words = ("shell", f"( {command} ) 2>&1; echo {_END} $?")
            text, said = self._adb(*words)
            body, mark, status = text.rpartition(_END)
            if mark and status.strip().isdigit():
                return body, int(status)
            if time.monotonic() >= until:
                raise RunError(f"phone {self.serial}: {said}{_AFTER}")
            time.sleep(min(_POLL_SECONDS, self.retry))

    def push(self, files: Sequence[Path], folder: str) -> None:
        """Copy files into a folder of the phone.

        Raises:
            RunError: if that fails; it says why.
        """
        text, said = self._adb("push", *map(str, files), f"{folder}/")
        if not text and said:
            raise RunError(f"phone {self.serial}: copying {files[0].name}: {said}{_AFTER}")

    def _adb(self, *words: str) -> tuple[str, str]:
        """Return what adb prints, and the reason where it fails."""
        command = ("adb", "-s", self.serial, *words)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "", f"no answer in {_COMMAND_SECONDS} s"
        text = done.stdout.decode("utf-8", "replace")
        lines = (done.stderr.decode("utf-8", "replace") or text).split("\n")
        said = [line.strip() for line in lines if line.strip()] or ["the connection ended"]
        reason = printable(said[-1].removeprefix("adb: "), 300)
        return ("" if words[0] == "push" and done.returncode else text or " "), reason

    def facts(self) -> Facts:
        """Return what the phone says of itself."""
        text, _ = self.shell("; ".join(_FACTS))
        lines = [line.strip().partition("=") for line in text.splitlines() if "=" in line]
        battery = dict(re.findall(r"^\s*(level|temperature|status): (\S+)", text, re.MULTILINE))
        warm = battery.get("temperature", "")
        shown = f"{battery.get('level', '?')} %"
        return Facts(
            named={key: value for key, _, value in lines if key in _PROPERTIES},
            cores=tuple(_core(value) for key, _, value in lines if key == "cpu"),
            battery=f"{shown}, {int(warm) / 10:.0f} °C" if warm.isdigit() else shown,
        )

    def free_bytes(self, folder: str) -> int:
        """Return the free space of a folder."""
        text, _ = self.shell(f"df -k {folder}")
        words = text.strip().splitlines()[-1].split() if text.strip() else []
        return 1024 * int(words[3]) if len(words) > 3 and words[3].isdigit() else 0

    def heat(self, celsius: float) -> str:
        """Return what is too hot, in words; nothing where nothing is.

        Processors may have up to `celsius`; the battery and the surface less.
        """
        text, _ = self.shell(_HEAT)
        status = re.search(r"Thermal Status: (\d+)", text)
        if status and int(status[1]) >= _THROTTLED:
            return f"its thermal status is {status[1]}"
        for zone, degrees in re.findall(r"^(\S+)=(-?\d+)\s*$", text, re.MULTILINE):
            found, limit = _celsius(int(degrees)), celsius
            if _SKIN_ZONE.search(zone):
                limit = _SKIN_CELSIUS
            elif not _CPU_ZONE.search(zone):
                continue
            if limit <= found < 150:  # what is beyond is no temperature
                return f"{zone} has {found:.0f} °C"
        return ""

    def cool_down(self, celsius: float, *, wait: float, poll: float) -> float:
        """Wait until nothing is too hot; return how many seconds that took.

        Raises:
            RunError: if it is still too hot after `wait` seconds.
        """
        start = time.monotonic()
        while hot := self.heat(celsius):
            if time.monotonic() - start >= wait:
                raise RunError(
                    f"phone {self.serial} is still hot after {wait / 60:.0f} min: {hot}; let it "
                    f"cool down{_AFTER}"
                )
            time.sleep(poll)
        return time.monotonic() - start


def _core(text: str) -> Core:
    number, most, now, *governor = text.split()
    return Core(
        number=int(number), most_khz=_whole(most), khz=_whole(now), governor=" ".join(governor)
    )


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _celsius(value: int) -> float:
    """Return a temperature in degrees, which systems give in thousandths, tenths or as it is."""
    return value / 1000 if abs(value) > 1000 else value / 10 if abs(value) > 200 else float(value)


def find_phone(serial: str, *, retry: float) -> Phone:
    """Return the phone of a serial number, or the only one.

    Raises:
        NasError: if there is no adb, no phone, or none of that number, several, or it is not ready;
            it says what to do.
    """
    if shutil.which("adb") is None:
        raise NasError(
            "there is no program adb here; install Android's platform tools (Debian: apt install "
            "adb)"
        )
    done = subprocess.run(
        ("adb", "devices"), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    lines = [line.split(None, 1) for line in done.stdout.splitlines() if "\t" in line]
    states = {words[0]: words[1].strip() for words in lines}
    if not states:
        raise NasError(
            "adb sees no phone: connect one, and enable USB debugging in its developer options; "
            "then try: adb devices"
        )
    if serial and serial not in states:
        raise NasError(f"adb sees no phone {serial}, but {', '.join(states)}")
    if not serial and len(states) > 1:
        names = ", ".join(f"adb:{name} ({state})" for name, state in states.items())
        raise NasError(f"adb sees several phones; name one of {names}")
    chosen = serial or next(iter(states))
    _check_ready(chosen, states[chosen])
    return Phone(serial=chosen, retry=retry)


def _check_ready(serial: str, state: str) -> None:
    todo = {
        "unauthorized": "unlock it and allow USB debugging from this computer",
        "offline": "reconnect it, or try: adb reconnect offline",
    }
    if state != "device":
        hint = todo.get(state, "adb devices must say 'device' of it")
        raise NasError(f"phone {serial} is {state}: {hint}{_AFTER}")
