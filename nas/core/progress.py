"""How work reports its progress."""

from collections.abc import Callable

Report = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and a note or nothing."""


def quiet(*_: object) -> None:
    """Report nothing."""
