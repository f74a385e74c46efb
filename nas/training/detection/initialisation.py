"""What a fresh detector predicts: next to nothing, and boxes near their priors."""

from math import log

import torch
from torch import Tensor, nn

from nas.network.detector import Detector, Priors

DEVIATION = 0.01
"""Of the weights in the last convolutions."""
PRIOR = 0.01
"""The probability of a class that an "ssd" begins with (Lin et al., 2017)."""
_OBJECTS, _SIDE = 5, 640
"""A "yolo" begins with as many objects of all classes together on an image of this side."""
_ANCHORED_OBJECTS, _CERTAINTY = 8, 0.6
"""Those of "yolov5" on such an image, and how certain their classes are, together."""


@torch.no_grad()
def initialise_outputs(model: nn.Module, detector: Detector, priors: Priors) -> None:
    """Set what decides the outputs of a fresh `model`: the last convolutions of each level.

    Their weights, as they were drawn, get a standard deviation of 0.01 (Lin et al., 2017), and the
    biases of classes are `initial_scores`.
    """
    strides = list(dict.fromkeys(priors.strides.tolist()))
    for number, level in enumerate(detector.levels):
        stride = strides[min(number, len(strides) - 1)]  # maps of one pixel may follow each other
        for place in (level.boxes, level.classes):
            weight, bias = _last(model.get_submodule(place))
            weight.mul_(DEVIATION / weight.std())
            if place == level.classes:
                bias.copy_(initial_scores(detector, stride).repeat(level.size))


def _last(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the last convolution in `module`."""
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    bias = convs[-1].bias
    assert bias is not None
    return convs[-1].weight, bias


def initial_scores(detector: Detector, stride: float) -> Tensor:
    """Return what the class scores of a prediction should begin with, of shape (scores,).

    That is the logarithm of the odds, so that a fresh detector finds next to nothing, and its loss
    is not ruled by the background. An "ssd" gives each class 0.01 (all together half, at most), a
    "yolo" what makes five objects of the predictions in an image of 640 pixels.
    """
    result = torch.zeros(detector.scores)
    predictions = (_SIDE / stride) ** 2
    match detector.coder:
        case "ssd":
            share = min(PRIOR, 0.5 / detector.classes)
            result[1:] = log(share / (1 - detector.classes * share))
        case "yolo":
            result[:] = log(_OBJECTS / detector.classes / predictions)
        case "yolov5":
            result[0] = log(_ANCHORED_OBJECTS / predictions)
            result[1:] = log(_CERTAINTY / (detector.classes - 0.99999))
    return result
