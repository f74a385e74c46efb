"""How a piece of work tells how far it is."""

from collections.abc import Callable

Report = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and a note, which may be empty."""


def quiet(*_: object) -> None:
    """Report nothing."""
