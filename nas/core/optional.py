"""Optional parts of a result, such as a picture, a comparison or a summary.

The result is written first, so that such a part can fail without losing it: one line then says what
is missing and why.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.core.errors import NasError, missing_package
from nas.core.text import printable

Say = Callable[[str], None]


@contextmanager
def optional(what: str, say: Say) -> Iterator[None]:
    """Run the block that makes an optional part; if it fails, call `say` with one line.

    `what` names the part, as in "the picture". For a bug, the line names the place in the code.
    Interrupts are not caught.
    """
    try:
        yield
    except Exception as error:  # no failure of it may lose the result
        say(printable(_reason(what, error)))


def _reason(what: str, error: Exception) -> str:
    """Return why `what` is missing."""
    match error:
        case ModuleNotFoundError(name=str(name)) if not name.startswith("nas."):
            return str(missing_package(error, wanted_by=what))
        case NasError():
            return f"without {what}: {error}"
        case OSError(strerror=str(text)):
            return f"without {what}: {text}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"without {what}, because of a bug: {type(error).__name__}: {error} ({place})"
