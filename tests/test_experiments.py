"""Every command in the README of an experiment starts from the root of the repository."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "experiments").glob("*/README.md"))
NAMES = sorted(
    {
        name
        for page in PAGES
        for name in re.findall(r"^python -m (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
)
START = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, name
"""


def test_every_experiment_has_a_command() -> None:
    folders = {path.parent.name for path in (ROOT / "experiments").glob("*/*.py")}
    assert {name.split(".")[1] for name in NAMES} == folders - {"shared"}


@pytest.mark.torch
def test_every_command_starts() -> None:
    for package in ("torch", "ray", "sklearn", "onnxruntime", "matplotlib"):
        pytest.importorskip(package)
    command = [sys.executable, "-c", START, *NAMES]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.count("--help") == len(NAMES)
