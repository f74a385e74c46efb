"""Which boxes an exported detector keeps, of what a user says and what is usual."""

from dataclasses import replace

from nas.core.errors import BadValue
from nas.network.blocks import Architecture
from nas.network.detector import MIN_SCORE, OVERLAP, Detector, NmsSettings, default_nms

MOST = 10_000


def nms_settings(detector: Detector, *, score: float, overlap: float, most: int) -> NmsSettings:
    """Return the limits of `detector`; `most` of 0 is the usual number.

    Raises:
        BadValue: if a threshold is no fraction, or `most` not 0 to 10,000.
    """
    for name, value in (("score", score), ("overlap", overlap)):
        if not 0 <= value <= 1:
            raise BadValue(f"{name} must be a fraction from 0 to 1, not {value:g}", name)
    if not 0 <= most <= MOST:
        raise BadValue(f"most must be 0 to {MOST:,} boxes, not {most}", "most")
    usual = default_nms(detector)
    return replace(usual, score=score, overlap=overlap, most=most or usual.most)


def check_boxes(
    arch: Architecture, *, raw: bool, batch: int, given: tuple[float, float, int]
) -> bool:
    """Tell whether an exported detector ends in numbers instead of boxes.

    It does if that is asked for, or batches of several images are.

    Raises:
        BadValue: if thresholds are given where there are no boxes.
    """
    is_raw = raw or batch > 1
    if given != (MIN_SCORE, OVERLAP, 0) and (is_raw or arch.detector is None):
        why = "the graph ends in numbers" if arch.detector else "it is no detector"
        raise BadValue(
            f"score, overlap and most are for graphs that end in boxes, and {why}", "score"
        )
    return is_raw
