"""The command line: one small file per command; errors that a user can cause are one line."""

import logging
import sys

import click

from nas.cli._group import group
from nas.cli._print import LogFormatter, say
from nas.cli._streams import Streams
from nas.core.deprecation import printed
from nas.core.errors import NasError
from nas.core.text import printable

nas = group(
    "nas.cli",
    "Find, inspect and export mobile CNNs that keep a latency budget on a real CPU.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(package_name="nas", message="%(version)s")(nas)


def main() -> None:
    """Run the command line; the exit code is 2 for errors of the user, 1 for a bug."""
    streams = Streams()
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[log])
    logging.getLogger("nas").setLevel(logging.INFO)
    with printed(say):
        code = _code()
    sys.exit(streams.close(code))


def _code() -> int:
    """Run the command in the arguments, and return its exit code."""
    try:
        return int(nas.main(standalone_mode=False) or 0)
    except NasError as error:
        say(f"error: {error}")
        return 2
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()
        else:
            say(f"error: {printable(error.format_message())}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        say(f"error: {error.strerror or error}")
        return 2
