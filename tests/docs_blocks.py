"""The blocks of code in README.md and docs/: their places and content."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from nas import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w/]+\.(?:py|yaml))\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its page, the line of its fence, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Its place, as in "docs/search.md:12"."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The file name in its first line, empty for a block that is run."""
        found = _FILE.match(self.text)
        return found[1] if found else ""


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of one page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            language=found[1].strip(),
            text=found[2],
        )
        for found in _FENCE.finditer(text)
    ]


BLOCKS = tuple(block for page in PAGES for block in blocks_of(page))


def commands_of(block: Block) -> Iterator[str]:
    """Yield the commands of `nas` in a block, without prompt and comment, lines joined."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in line.removeprefix("$ ").split("&&"):
            if re.match(r"\s*nas [a-z]", part) and "..." not in part:
                yield part.strip()


def resolved(command: str) -> tuple[click.Command, list[str]]:
    """Return the click command that a line calls, and its arguments.

    Raises:
        click.UsageError: if there is no such command.
    """
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = cli.nas
    while isinstance(found, click.Group):
        context = click.Context(found)
        inner = found.get_command(context, words[0]) if words else None
        if inner is None:
            if found.invoke_without_command or not words:
                break
            raise click.UsageError(f"no command {words[0]} in {command}")
        found, words = inner, words[1:]
    return found, words


def parsed(command: str) -> dict[str, object]:
    """Return the options and arguments of a line, as click reads them; nothing is run.

    Raises:
        click.ClickException: if there is no such command or option, or a value is not of its type.
    """
    found, words = resolved(command)
    with found.make_context(found.name, list(words)) as context:
        return dict(context.params)
