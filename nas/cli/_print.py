"""Print results on stdout, and everything else on stderr, safely.

Names, error messages and values may come from files of unknown origin: control characters are
escaped, passwords in URLs masked, and long texts cut.
"""

import logging
import re
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table as Grid

from nas.core import strict_json
from nas.core.text import LONGEST_VALUE, safe, without_secrets

if TYPE_CHECKING:
    from nas.report.tables import Table  # which would bring numpy to every command

_WIDEST = 1000
SETTINGS = (
    "accumulate", "allow_extrapolation", "allow_plugins", "alpha", "arch", "backend", "batch",
    "beta", "budget", "by", "data", "depth", "device", "dtype", "evaluator", "gamma", "head",
    "latency_table", "lr", "max_drop", "memory", "minutes", "multiple", "name", "networks",
    "objective", "on_missing", "only_missing", "out", "phi", "prior", "published",
    "resolution", "reward", "runner", "space", "step", "storage", "target_ms", "task", "tolerance",
    "train_resolution", "trials", "units", "weights", "width", "workers",
)  # fmt: skip
"""Settings that messages of the library name as `lr` or `lr=0.1`, shown as --lr."""
_SETTING = re.compile(rf"`({'|'.join(SETTINGS)})(?:=([^`]*))?`")


def print_table(table: "Table") -> None:
    """Print a table on stdout, never cut: in a narrower terminal its lines wrap."""
    grid = Grid(box=None, pad_edge=False)
    for i, heading in enumerate(table.headings):
        cells = [row[i].lstrip("+-")[:1] for row in table.rows if row[i]]
        numeric = i > 0 and bool(cells) and all(cell.isdigit() for cell in cells)
        grid.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for i, row in enumerate(table.rows):
        cells = [safe(cell, LONGEST_VALUE).replace("\n", " ") for cell in row]
        grid.add_row(*cells, style="bold" if i in table.bold else None)
    console = Console(highlight=False, markup=False, emoji=False, width=_WIDEST, soft_wrap=True)
    with console.capture() as capture:
        console.print(grid)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    click.echo("\n".join([safe(table.title), *lines]))


def put(text: str = "") -> None:
    """Print a line of a result on stdout."""
    click.echo(safe(_with_flags(text)))


def print_json(content: Any) -> None:
    """Print one JSON document on stdout, with null for NaN and infinities."""
    click.echo(strict_json.dumps(_masked(content), indent=1))


def _masked(content: Any) -> Any:
    """Return plain data with the secrets in its texts masked."""
    match content:
        case str():
            return without_secrets(content)
        case dict():
            return {key: _masked(value) for key, value in content.items()}
        case list() | tuple():
            return [_masked(value) for value in content]
    return content


def _with_flags(text: str) -> str:
    """Return a message with settings replaced by flags."""
    return _SETTING.sub(_flag, text)


def _flag(found: re.Match[str]) -> str:
    flag = f"--{found[1].replace('_', '-')}"
    return flag if found[2] is None else f"{flag} {found[2]}"


def say(text: str) -> None:
    """Print a message on stderr."""
    click.echo(safe(_with_flags(text)), err=True)


class LogFormatter(logging.Formatter):
    """Formats log messages like those of `say`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return only the message."""
        return safe(_with_flags(super().format(record)))
