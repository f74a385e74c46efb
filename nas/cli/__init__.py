"""The command line: one small file per command; errors a user can cause are one line."""

import importlib
import logging
import pkgutil
import sys
from pathlib import Path

import click

from nas.errors import NasError, unknown


class _Commands(click.Group):
    """Finds a command in the file of its name, and imports it when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the command files."""
        files = pkgutil.iter_modules([str(Path(__file__).parent)])
        return sorted(file.name for file in files if not file.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of one file."""
        if cmd_name not in self.list_commands(ctx):
            raise unknown("command", cmd_name, self.list_commands(ctx))
        command: click.Command = importlib.import_module(f"nas.cli.{cmd_name}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nas", message="%(version)s")
def nas() -> None:
    """Find, inspect and export mobile CNNs that keep a latency budget on a real CPU."""


def main() -> None:
    """Run the command line; exit code 2 for what the user can mend, 1 for a bug."""
    sys.path.append("")  # a plugin may be a file in the working folder
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        sys.exit(nas.main(standalone_mode=False))
    except NasError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()
        else:
            click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        click.echo(f"error: {error.strerror or error}", err=True)
        sys.exit(2)
