"""Failures to print: full disks, closed streams, readers that have exited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FULL = "/dev/full"
SEARCH = "search --space mnasnet_b0 --strategy random --trials 20 --no-plot --out run"

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="redirections of a POSIX shell"),
]


def shell(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `nas` is this project's command."""
    nas = f'"{sys.executable}" -m nas.cli'
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; nas() {{ {nas} "$@"; }}; {text}'],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.skipif(not Path(FULL).exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "code", "line"),
    [
        (f">{FULL}", 2, "error: stdout cannot be written: No space left on device"),
        (">&-", 2, "error: stdout cannot be written: Bad file descriptor"),
        (f"2>{FULL}", 0, None),
        ("2>&-", 0, None),
        (">&- 2>&- <&-", 2, None),
    ],
)
def test_a_search_whose_streams_fail_leaves_its_results(
    tmp_path: Path, redirection: str, code: int, line: str | None
) -> None:
    done = shell(f"nas {SEARCH} {redirection}", tmp_path)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "run" / "pareto.csv").read_text().startswith("name,")
    assert list((tmp_path / "run" / "archs").iterdir())
    assert (tmp_path / "run" / "journal.jsonl").read_text().count("\n") > 1
    if line:
        assert done.stderr.splitlines()[-1] == line
        assert "everything is in run" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_that_has_read_enough_ends_a_list_quietly(tmp_path: Path) -> None:
    done = shell("nas list | head -1; echo ${PIPESTATUS[0]}", tmp_path)
    assert done.stdout.splitlines()[-1] in ("0", "141")
    assert done.stderr == ""


def test_characters_that_a_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    done = shell(f"nas {SEARCH}", tmp_path, PYTHONIOENCODING="iso8859-2")
    assert done.returncode == 0, done.stderr
    assert "\\xb1" in done.stdout
