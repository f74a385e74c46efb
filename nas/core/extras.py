"""Extras: what a result can do without, as a picture, a comparison or a summary.

A result is written first. Whatever adorns it may then fail without taking the result with it: one
line says what is missing, and why.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.core.errors import NasError, missing_package
from nas.core.text import printable

Say = Callable[[str], None]


@contextmanager
def extra(what: str, say: Say) -> Iterator[None]:
    """Do something that a result can do without; where it fails, `say` is told in one line.

    `what` names it, as in "the picture". A bug in it is a line as well, with the place to look at.
    An interrupt is no failure, and passes.
    """
    try:
        yield
    except Exception as error:  # whatever it is, it must not cost what is written already
        say(printable(_reason(what, error)))


def _reason(what: str, error: Exception) -> str:
    """Return why there is no `what`."""
    match error:
        case ModuleNotFoundError(name=str(name)) if not name.startswith("nas."):
            return str(missing_package(error, wanted_by=what))
        case NasError():
            return f"without {what}: {error}"
        case OSError(strerror=str(text)):
            return f"without {what}: {text}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"without {what}, by a bug: {type(error).__name__}: {error} ({place})"
