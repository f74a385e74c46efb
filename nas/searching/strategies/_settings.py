"""Checks of the settings of strategies."""

from nas.core.errors import NasError


def check_counts(strategy: str, **settings: int) -> None:
    """Reject settings below 1.

    Raises:
        NasError: for the first of them.
    """
    for name, value in settings.items():
        if value < 1:
            raise NasError(f"strategy {strategy}: {name} must be 1 or more, not {value}")
