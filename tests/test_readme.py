"""Output shown in README and documentation is that of the commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from docs_blocks import BLOCKS, ROOT, Block

import nas

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = [block for block in BLOCKS if block.language == "console"]
MAX_LINES = 120


def run_nas(command: str, folder: Path) -> str:
    code = "from nas.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code, *shlex.split(command)[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout + found.stderr


def lasting(text: str) -> list[str]:
    """Return the lines of `text` without parts that vary from run to run, and without blank
    ends."""
    text = re.sub(r"in [\d.]+ s, [\d,]+ a second", "in N s, N a second", text)
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.name)
def test_console_block_is_what_the_command_prints(block: Block, tmp_path: Path) -> None:
    prompt, _, shown = block.text.partition("\n")
    assert prompt.startswith("$ nas ")
    assert lasting(run_nas(prompt[2:], tmp_path)) == lasting(shown)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES


def test_readme_opens_with_two_install_commands() -> None:
    commands = [line for line in README.splitlines() if line.startswith("pip install")]
    assert commands == [
        'pip install -c constraints.txt ".[plot,measure]" && nas search --space mbconv '
        "--latency-table pixel1",
        'pip install -c constraints.txt ".[dev]" && pytest',
    ]


def test_every_public_name_can_be_imported() -> None:
    pytest.importorskip("torch")
    for name in nas.__all__:
        assert callable(getattr(nas, name)), name
    assert set(dir(nas)) >= set(nas.__all__)
    with pytest.raises(AttributeError):
        nas.no_such_name  # noqa: B018 - the access is the test
