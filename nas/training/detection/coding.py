"""How box numbers become boxes, and boxes the numbers that a detector should give.

What the coders mean is said in `nas.network.detector`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor

from nas.network.detector import CENTRE_VARIANCE, MAX_GROWTH, SIZE_VARIANCE, Priors

_MIN_SIDE = 1e-3


class PriorTensors(NamedTuple):
    """`Priors` as tensors: where each prediction starts, in pixels of the input."""

    centres: Tensor
    sizes: Tensor
    strides: Tensor

    @classmethod
    def of(cls, priors: Priors, device: torch.device | str = "cpu") -> Self:
        """Return `priors` on `device`."""
        arrays = (priors.centres, priors.sizes, priors.strides)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    @property
    def corners(self) -> Tensor:
        """Left, top, right and bottom of each, of shape (predictions, 4)."""
        half = self.sizes / 2
        return torch.cat([self.centres - half, self.centres + half], -1)


def decode(coder: str, numbers: Tensor, priors: PriorTensors) -> Tensor:
    """Return the boxes (batch, predictions, 4) of box numbers (batch, predictions, 4 * bins)."""
    return _DECODERS[coder](numbers, priors)


def probabilities(coder: str, scores: Tensor) -> Tensor:
    """Return the probability of each class, (batch, predictions, classes), of the class scores."""
    match coder:
        case "ssd":
            return scores.softmax(-1)[..., 1:]
        case "yolov5":
            return scores[..., 1:].sigmoid() * scores[..., :1].sigmoid()
    return scores.sigmoid()


def encode_ssd(corners: Tensor, priors: PriorTensors) -> Tensor:
    """Return the "ssd" numbers of boxes (..., predictions, 4), one for each prior."""
    centres = (corners[..., :2] + corners[..., 2:]) / 2
    sizes = (corners[..., 2:] - corners[..., :2]).clamp(min=_MIN_SIDE)
    moved = (centres - priors.centres) / priors.sizes / CENTRE_VARIANCE
    return torch.cat([moved, (sizes / priors.sizes).log() / SIZE_VARIANCE], -1)


def encode_yolo(corners: Tensor, priors: PriorTensors) -> Tensor:
    """Return the distances to the sides of boxes (..., predictions, 4), in strides."""
    low = priors.centres - corners[..., :2]
    return torch.cat([low, corners[..., 2:] - priors.centres], -1) / priors.strides[..., None]


def distances(numbers: Tensor) -> Tensor:
    """Return the mean of the distribution of each side: (..., 4) of numbers (..., 4 * bins)."""
    shares = by_side(numbers).softmax(-1)
    bins = torch.arange(shares.shape[-1], device=shares.device, dtype=shares.dtype)
    return shares.matmul(bins)


def by_side(numbers: Tensor) -> Tensor:
    """Return box numbers (..., 4 * bins) as (..., 4, bins)."""
    return numbers.reshape(*numbers.shape[:-1], 4, numbers.shape[-1] // 4)


def _decode_ssd(numbers: Tensor, priors: PriorTensors) -> Tensor:
    centres = priors.centres + CENTRE_VARIANCE * numbers[..., :2] * priors.sizes
    growth = (SIZE_VARIANCE * numbers[..., 2:]).clamp(max=MAX_GROWTH)
    half = growth.exp() * priors.sizes / 2
    return torch.cat([centres - half, centres + half], -1)


def _decode_yolo(numbers: Tensor, priors: PriorTensors) -> Tensor:
    away = distances(numbers) * priors.strides[:, None]
    return torch.cat([priors.centres - away[..., :2], priors.centres + away[..., 2:]], -1)


def _decode_yolov5(numbers: Tensor, priors: PriorTensors) -> Tensor:
    shares = numbers.sigmoid()
    centres = priors.centres + (2 * shares[..., :2] - 1) * priors.strides[:, None]
    half = (2 * shares[..., 2:]).square() * priors.sizes / 2
    return torch.cat([centres - half, centres + half], -1)


_DECODERS: Mapping[str, Callable[[Tensor, PriorTensors], Tensor]] = {
    "ssd": _decode_ssd,
    "yolo": _decode_yolo,
    "yolov5": _decode_yolov5,
}
