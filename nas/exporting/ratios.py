"""Ratios of channels as other libraries write them: the shortest that give the channels again."""

from collections.abc import Callable

_MAX_DIGITS = 17


def shortest(ratio: float, good: Callable[[float], bool]) -> str:
    """Return the decimal of the fewest digits near `ratio` that is `good`, "" if none is."""
    for digits in range(_MAX_DIGITS):
        text = f"{ratio:.{digits}f}"
        if float(text) > 0 and good(float(text)):
            return text
    return ""
