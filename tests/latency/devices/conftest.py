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
sh -c "$*" | dd bs=1 "count=$bytes" 2>/dev/null
exit 255
"""


@dataclass(frozen=True)
class Board:
    """A board that a fake `ssh` reaches: its `home`, and what goes wrong, by files in `folder`."""

    home: Path
    folder: Path

    def set(self, name: str, text: str = "") -> None:
        """Let connections be denied with a text, cut after some bytes, or disks be full."""
        (self.folder / name).write_text(text, encoding="ascii")

    def unset(self, name: str) -> None:
        """Undo that."""
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
    """Put an `ssh` on the PATH that runs commands here, at another home."""
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
