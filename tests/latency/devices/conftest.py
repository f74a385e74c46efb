"""Fixtures of devices: a small plan, and an `ssh` on the PATH whose board is this machine."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nas.latency.measure.plan import MeasuringJob, Plan
from nas.latency.measure.samples import REFERENCE, UNIT
from nas.network.lowering import lower
from nas.space.space import Space

_SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
export HOME={home} XDG_CACHE_HOME=
[ ! -e {folder}/deny ] || {{ cat {folder}/deny >&2; exit 255; }}
[ ! -e {folder}/limit ] || ulimit -f "$(cat {folder}/limit)"
[ -e {folder}/cut ] || exec sh -c "$*"
bytes=$(cat {folder}/cut)
[ -e {folder}/always ] || rm {folder}/cut
exec 3<&0
trap 'exit 255' TERM
sh -c "$*" <&3 3<&- | {{ dd bs=1 "count=$bytes" 2>/dev/null; kill $$; }} 3<&- &
exec <&- 3<&-
wait
exit 255
"""


@dataclass(frozen=True)
class Board:
    """A board behind a fake `ssh`: its `home`, and failures set by files in `folder`."""

    home: Path
    folder: Path

    def set(self, name: str, text: str = "") -> None:
        """Deny connections with a text, cut them after some bytes, or fill disks."""
        (self.folder / name).write_text(text, encoding="ascii")

    def unset(self, name: str) -> None:
        """Undo all failures."""
        (self.folder / name).unlink()

    @property
    def places(self) -> list[Path]:
        """The folders of measurements on the board."""
        return sorted(self.home.glob(".cache/nas/*"))


@pytest.fixture(scope="session")
def small_plan(tiny: Space) -> Plan:
    """Return a plan of a reference and three models that take microseconds."""
    units = lower(tiny.decode_row(tiny.sample_matrix(np.random.default_rng(0), 1)[0]))
    jobs = [MeasuringJob(name="reference", role=REFERENCE, units=units)]
    jobs += [MeasuringJob(name=str(n), role=UNIT, units=units[: n + 1]) for n in range(3)]
    return Plan(name="small", jobs=tuple(jobs))


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Put an `ssh` on the PATH that runs commands here, with another home."""
    made = Board(home=tmp_path / "home", folder=tmp_path / "bin")
    made.home.mkdir()
    made.folder.mkdir()
    program(made.folder / "ssh", _SSH.format(home=made.home, folder=made.folder))
    python = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{made.folder}:{python}:{os.environ['PATH']}")
    return made


def program(path: Path, text: str) -> Path:
    """Write a program."""
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


_ADB = """#!/bin/sh
cd {folder} || exit 1
[ "$1" != -s ] || {{ serial=$2; shift 2; }}
command=$1
shift
if [ "$command" = devices ]; then
  echo "List of devices attached"
  cat devices
  exit
fi
if [ -s away ]; then
  sed -i 1d away
  echo "error: device offline" >&2
  exit 1
fi
case $command in
push)
  for last in "$@"; do :; done
  while [ $# -gt 1 ]; do
    size=$(wc -c < "$1")
    if [ "$size" -gt "$(cat room)" ]; then
      echo "adb: error: write: No space left on device" >&2
      exit 1
    fi
    cp "$1" "phone$last"
    echo "$1" >> pushed
    shift
  done
  echo "1 file pushed";;
shell)
  PATH="{folder}/phone/bin:$PATH"
  echo "$1" >> asked
  there='s#/data/local/tmp#{folder}/phone/data/local/tmp#g; s#/sys/#{folder}/phone/sys/#g'
  sh -c "$(printf %s "$1" | sed "$there")";;
esac
"""
_GETPROP = """#!/bin/sh
case $1 in
ro.product.manufacturer) echo Fake;; ro.product.model) echo Phone 1;; ro.soc.model) echo F1;;
ro.product.cpu.abilist) echo arm64-v8a,armeabi-v7a;;
ro.build.version.release) echo 14;; ro.build.version.sdk) echo 34;;
esac
"""
_DUMPSYS = """#!/bin/sh
case $1 in
battery) printf 'Current Battery Service state:\\n  level: 81\\n  temperature: 310\\n';;
*) echo "Thermal Status: $(head -n 1 {folder}/status)"; sed -i '1{{$!d}}' {folder}/status;;
esac
"""
_TASKSET = """#!/bin/sh
mask=$1
shift 2
for word in "$@"; do case $word in --graph=*) graph=${{word#--graph=}};; esac; done
[ -e "$graph" ] || {{ echo "ERROR: Could not open '$graph'."; exit 1; }}
size=$(wc -c < "$graph")
if [ -e {folder}/crash ] && grep -qx "$(basename "$graph")" {folder}/crash; then
  cat {folder}/says
  exit 139
fi
echo >> {folder}/runs
n=$(wc -l < {folder}/runs)
awk -v n="$n" -v size="$size" -v form="$(cat {folder}/form)" 'BEGIN {{
  drift = 1 + 0.1 * sin(n / 80) + (n > 200 ? 0.08 : 0)
  noise = 1 + 0.004 * ((n * 7919) % 13) / 13
  us = (30 + size / 200) * drift * noise
  if (form == 1) {{
    printf "count=1 curr=%.1f\\n\\n", us
    printf "count=3 first=%.1f curr=%.1f min=%.3f max=%.1f ", us, us, us, us
    printf "avg=%.3f std=3\\n\\nInference timings in us: Init: 5, ", us * 1.01
    printf "First inference: %.1f, Warmup (avg): %.1f, Inference (avg): %.3f\\n", us, us, us * 1.01
  }} else printf "Inference (avg): %.6f ms (3 runs)\\n", us / 1000
}}'
"""


@dataclass(frozen=True)
class Handset:
    """A phone behind a fake `adb`; files in `folder` set its properties and failures."""

    folder: Path
    benchmark_model: Path

    def set(self, name: str, text: str) -> None:
        """Write one of the files in `folder`."""
        (self.folder / name).write_text(text, encoding="ascii")

    def lines(self, name: str) -> list[str]:
        """Return the content of one of the files in `folder`."""
        return (self.folder / name).read_text(encoding="ascii").splitlines()

    @property
    def left(self) -> list[Path]:
        """The files on the phone."""
        return sorted((self.folder / "phone/data/local/tmp").iterdir())


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handset:
    """Put an `adb` on the PATH whose phone is a folder, and whose times come from file sizes."""
    folder = tmp_path / "adb"
    for name in ("bin", "phone/bin", "phone/data/local/tmp", "phone/sys/class/thermal"):
        (folder / name).mkdir(parents=True)
    for number, most in enumerate((1800, 1800, 2800, 2400)):
        place = folder / f"phone/sys/devices/system/cpu/cpu{number}/cpufreq"
        place.mkdir(parents=True)
        for name, value in (("cpuinfo_max_freq", most * 1000), ("scaling_cur_freq", 900_000)):
            (place / name).write_text(f"{value}\n")
        (place / "scaling_governor").write_text("schedutil\n")
    program(folder / "bin/adb", _ADB.format(folder=folder))
    for name, text in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS), ("taskset", _TASKSET)):
        plain = text if name == "getprop" else text.format(folder=folder)
        program(folder / "phone/bin" / name, plain)
    program(
        folder / "phone/bin/df",
        f'#!/bin/sh\necho x\necho "/d 9 9 $(cat {folder}/kilobytes) 1% /"\n',
    )
    binary = tmp_path / "benchmark_model"
    binary.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little") + bytes(40))
    made = Handset(folder=folder, benchmark_model=binary)
    defaults = {"devices": "F1\tdevice\n", "room": "99999999", "form": "1", "status": "0\n",
                "kilobytes": "9000000"}  # fmt: skip
    for name, text in defaults.items():
        made.set(name, text)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    return made
