"""Names of settings in messages are shown as flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nas import cli
from nas.cli import _print, scale

NAS = Path(cli.__file__).parents[1]


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts in a file, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def _flags(command: click.Command) -> set[str]:
    found = {flag for option in command.params for flag in option.opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one
            found |= _flags(one)
    return found


def test_every_setting_that_a_message_names_is_a_flag() -> None:
    named = {name for path in NAS.rglob("*.py") for text in _texts(path)
             for name in re.findall(r"`([a-z_]+)[`=]", text)}  # fmt: skip
    named |= {"alpha", "beta", "gamma", "multiple", "width", "depth", "resolution"}  # of a growth
    assert sorted(named) == list(_print.SETTINGS)
    flags = _flags(cli.nas) | _flags(scale.search)
    assert [name for name in named if f"--{name.replace('_', '-')}" not in flags] == []


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("give a lower `target_ms`, `lr` or `out`", "give a lower --target-ms, --lr or --out"),
        ("as in `data=imagefolder:/path`; so", "as in --data imagefolder:/path; so"),
        ("`self` is no setting, nor is out", "`self` is no setting, nor is out"),
    ],
)
def test_a_message_names_flags(
    message: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _print.say(message)
    assert capsys.readouterr().err == f"{shown}\n"
