"""The callback by which work reports its progress."""

from collections.abc import Callable

Report = Callable[[int, int, str], None]
"""Called with the amount done, the total amount, and a note, which may be empty."""


def quiet(*_: object) -> None:
    """Report nothing."""
