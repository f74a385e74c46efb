"""Which boxes an exported detector keeps, of what a user says and what is usual."""

from dataclasses import replace

from nas.core.errors import BadValue
from nas.network.detector import Detector, Limits, limits_of

MOST = 10_000


def limits_from(detector: Detector, *, score: float, overlap: float, most: int) -> Limits:
    """Return the limits of `detector`; `most` of 0 is the usual number.

    Raises:
        BadValue: if a threshold is no fraction, or `most` not 0 to 10,000.
    """
    for name, value in (("score", score), ("overlap", overlap)):
        if not 0 <= value <= 1:
            raise BadValue(f"{name} must be a fraction from 0 to 1, not {value:g}", name)
    if not 0 <= most <= MOST:
        raise BadValue(f"most must be 1 to {MOST:,} boxes, not {most}", "most")
    usual = limits_of(detector)
    return replace(usual, score=score, overlap=overlap, most=most or usual.most)
