"""The command line: one small file per command; errors a user can cause are one line."""

import logging
import sys

import click

from nas.cli._group import group
from nas.errors import NasError

nas = group(
    "nas.cli",
    "Find, inspect and export mobile CNNs that keep a latency budget on a real CPU.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(package_name="nas", message="%(version)s")(nas)


def main() -> None:
    """Run the command line; exit code 2 for what the user can mend, 1 for a bug."""
    sys.path.append("")  # a plugin may be a file in the working folder
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("nas").setLevel(logging.INFO)
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
