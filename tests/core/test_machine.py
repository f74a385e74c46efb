"""Facts about a machine, also where little can be read, and pinning to cores."""

import os
import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from nas.core import machine
from nas.core.errors import NasError

ROOT = Path(__file__).parents[2]
KEYS = {"cpu", "cpu_count", "cores", "governor", "clock_mhz", "system", "python", "date"}
pins = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no pinning here")


def _in_a_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import os\nfrom nas.core import machine\n{code}"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return done.stdout.strip()


def test_everything_is_reported() -> None:
    found = machine.describe((0,))
    assert set(found) == KEYS
    assert found["cpu"]
    assert found["cores"] == [0]
    assert found["cpu_count"] == os.cpu_count()
    assert isinstance(found["clock_mhz"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(found["date"]))
    assert str(found["python"]).startswith("3.")


def test_where_nothing_can_be_read_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: "")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    found = machine.describe(())
    assert set(found) == KEYS
    assert (found["governor"], found["clock_mhz"], found["cores"]) == ("", 0, [])
    assert found["cpu_count"] == 1
    assert isinstance(found["cpu"], str)


def test_the_machine_has_some_memory() -> None:
    assert machine.machine_memory() > 2**26


@pytest.mark.parametrize(("text", "limit"), [("1048576\n", 2**20), ("max\n", 2**40), ("", 2**40)])
def test_a_container_may_allow_less_memory_than_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, limit: int
) -> None:
    pages = {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**28}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    monkeypatch.setattr(machine, "_CGROUPS", (tmp_path / "memory.max", tmp_path / "none"))
    (tmp_path / "memory.max").write_text(text)
    assert machine.machine_memory() == limit


FILES = {
    "x86": ({"/proc/cpuinfo": "processor : 0\nmodel name : A CPU @ 2.40GHz\ncpu MHz : 2445.4\n"},
            ("A CPU @ 2.40GHz", 2445, "")),
    "arm board": ({"/proc/cpuinfo": "processor : 0\nBogoMIPS : 108.00\nHardware : BCM2835\n"
                   "Model : Raspberry Pi 4\n"}, ("BCM2835", 0, "")),
    "device tree": ({"/proc/cpuinfo": "processor : 0\n", "/proc/device-tree/model": "Pine64\0"},
                    ("Pine64", 0, "")),
    "sysfs": ({"/proc/cpuinfo": "model : 85\nmodel name : X\ncpu MHz : 1.0\n",
               "/sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "3200000\n",
               "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance\n"},
              ("X", 3200, "performance")),
    "odd clock": ({"/proc/cpuinfo": "model name : X\ncpu MHz : unknown\n"}, ("X", 0, "")),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_processors_of_several_kinds_are_described(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, wanted = FILES[name]
    monkeypatch.setattr(machine, "_read", lambda path: files.get(str(path), "").strip("\0\n "))
    found = machine.describe((3,))
    assert (found["cpu"], found["clock_mhz"], found["governor"]) == wanted


@pins
def test_a_process_keeps_to_the_cores_it_is_given_and_no_other_process_does() -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    code = f"print(machine.pin(({core},), threads=1), os.sched_getaffinity(0))"
    assert _in_a_process(code) == f"({core},) {{{core}}}"
    assert os.sched_getaffinity(0) == allowed


@pins
def test_as_many_cores_as_threads_are_taken_where_none_are_named() -> None:
    count = len(os.sched_getaffinity(0))
    for threads in (1, 2, 64):
        kept = literal_eval(_in_a_process(f"print(machine.pin(None, threads={threads}))"))
        assert len(kept) == min(threads, count)
        assert kept == tuple(sorted(kept))


@pins
def test_the_fastest_cores_are_taken_and_the_last_among_equals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[list[int]] = []
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4})
    monkeypatch.setattr(machine.os, "sched_setaffinity", lambda pid, cores: taken.append(cores))
    clocks = {0: 2000, 1: 3000, 2: 3000, 3: 3000, 4: 1000}
    monkeypatch.setattr(machine, "_top_clock", clocks.__getitem__)
    assert machine.pin(None, threads=1) == (3,)
    assert machine.pin(None, threads=2) == (2, 3)
    assert machine.pin((4, 0), threads=2) == (0, 4)


@pins
def test_a_core_that_is_not_there_is_named_and_nothing_changes() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(NasError, match=r"core 4096 is not among those that may be used: \["):
        machine.pin((4096,), threads=1)
    assert os.sched_getaffinity(0) == before


def test_where_the_system_does_not_allow_it_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(machine.os, "sched_setaffinity", raising=False)
    assert machine.pin((0,), threads=1) == ()


@pins
def test_a_refused_pin_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, cores: object) -> None:
        raise PermissionError

    monkeypatch.setattr(machine.os, "sched_setaffinity", refuse)
    assert machine.pin(None, threads=1) == ()
