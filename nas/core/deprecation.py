"""Deprecated names: they still work, and say once what to use and when they are removed.

The policy is in docs/reference/versions.md. Python code sees a `DeprecatedName` warning where it
uses the name; the command line prints it as a line on standard error (`printed`).
"""

import dataclasses
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_IMPORT = "<frozen importlib"
_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
_INNER = (_PACKAGE, _IMPORT, "<string>", dataclasses.__file__)
"""Files of frames that are not the user's: ours, and those of imports and of dataclasses."""


class DeprecatedName(DeprecationWarning):
    """A name that is removed in a later version."""


def deprecated(name: str, *, instead: str, removed_in: str) -> None:
    """Warn that `name` is deprecated, once in a process for each name.

    The warning points to the caller outside of this package. If warnings are errors, it is raised
    every time.
    """
    _warn_once(f"{name} is deprecated and is removed in version {removed_in}; use {instead}")


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, DeprecatedName, stacklevel=_level_of_user())


def forget() -> None:
    """Forget what was warned of, so that it is warned of again."""
    _warn_once.cache_clear()


def _level_of_user() -> int:
    """Return the `stacklevel`, for the function that calls this one, of the first foreign frame."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INNER):
        frame = frame.f_back
        level += not frame.f_code.co_filename.startswith(_IMPORT)  # `warn` does not count these
    return level


@contextmanager
def printed(say: Callable[[str], None]) -> Iterator[None]:
    """Give the text of each deprecated name to `say`, whatever is done about other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DeprecatedName)
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, DeprecatedName):
                say(str(message))
            else:
                show(message, category, *where)

        warnings.showwarning = shown  # type: ignore[assignment]  # with fewer names for `where`
        yield
