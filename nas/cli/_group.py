"""A group of commands: one file each, found by name and imported when it is used."""

import importlib
import pkgutil
from pathlib import Path

import click

from nas.core.errors import unknown


def group(package: str, help_text: str, **settings: object) -> click.Group:
    """Return the group of the commands in `package`, a folder of files with a `command` each."""
    return _Commands(package, help=help_text, **settings)


class _Commands(click.Group):
    def __init__(self, package: str, **settings: object) -> None:
        super().__init__(package.rpartition(".")[2], **settings)  # type: ignore[arg-type]  # click's own
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the command files."""
        return sorted(self._modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of one file."""
        modules = self._modules()
        if cmd_name not in modules:
            raise unknown("command", cmd_name, modules)
        command: click.Command = importlib.import_module(modules[cmd_name]).command
        return command

    def _modules(self) -> dict[str, str]:
        """Return the modules by the names of their commands; "import_" is that of "import"."""
        folder = Path(importlib.import_module(self.package).__file__ or "").parent
        files = [file.name for file in pkgutil.iter_modules([str(folder)])]
        return {f.rstrip("_"): f"{self.package}.{f}" for f in files if not f.startswith("_")}
