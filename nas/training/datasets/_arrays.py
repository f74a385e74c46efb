"""Images that are arrays in memory, resized when they are read."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # the name every torch program uses
from numpy.typing import NDArray

from nas.training.data import Images, check_side


def from_arrays(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Images:
    """Return images of `pixels`: uint8 of shape (n, 1 or 3, height, width); grey ones become RGB.

    Another side than theirs is reached by bilinear interpolation, with averaging where they shrink.
    """
    return Images(labels=labels, read=partial(_read, pixels))


def _read(pixels: NDArray[np.uint8], indices: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    chosen = pixels[indices]
    if chosen.shape[2:] != (check_side(side), side):
        chosen = _resize(chosen, side)
    return chosen if chosen.shape[1] == 3 else np.repeat(chosen, 3, axis=1)


def _resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    values = torch.from_numpy(pixels).float()
    values = F.interpolate(
        values, (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    result: NDArray[np.uint8] = values.round_().clamp_(0, 255).byte().numpy()
    return result
