"""Boxes in batches: what a detector learns from, and what it finds."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Boxes(NamedTuple):
    """The objects of a batch of images, filled up to the most in one of them.

    `corners` are left, top, right and bottom in pixels of the input, of shape (batch, most, 4);
    `labels` classes from 0, of shape (batch, most), -1 where there is none.
    """

    corners: Tensor
    labels: Tensor


class Outputs(NamedTuple):
    """What a detector computes: see `nas.network.detector`.

    `boxes` have shape (batch, predictions, numbers), `scores` (batch, predictions, scores).
    """

    boxes: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """The boxes found in one image, best first.

    `corners` are in pixels of the input, of shape (found, 4); `scores` and `labels` (found,).
    """

    corners: Tensor
    scores: Tensor
    labels: Tensor
