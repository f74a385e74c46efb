"""What a detector learns from another one: its class scores and boxes, where it is sure of objects.

Most predictions are of the background, which would drown the objects. So each prediction counts by
how sure the teacher is of an object there, as in Mehta and Ozturk (2018), "Object detection at 200
frames per second".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor

from nas.core.errors import NasError
from nas.network.detector import Detector, Priors
from nas.training.boxes import Outputs
from nas.training.detection import yolo, yolov5
from nas.training.detection.coding import PriorTensors, by_side, decode, probabilities

BETA = 0.1
"""Differences of boxes, relative to their size, above which smooth L1 is linear."""

GAINS: Mapping[str, tuple[float, float]] = {
    "ssd": (1.0, 1.0),
    "yolo": (yolo.CLASS_GAIN, yolo.BINS_GAIN),
    "yolov5": (yolov5.CLASS_GAIN, yolov5.BOX_GAIN),
}
"""By coder: how much classes and boxes count, about as in the loss of the coder itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionDistillation:
    """How far the outputs of a detector lie from those of a teacher of the same predictions.

    Classes count with the Kullback-Leibler divergence of distributions that are softened by
    `temperature`, times its square (Hinton et al., 2015): one softmax of "ssd" (Chen et al., 2017),
    a sigmoid for each score of the others. Boxes count with smooth L1 of their corners, relative to
    the teacher's width and height; of "yolo" with the divergence of the distributions of their
    sides, softened alike (localization distillation, Zheng et al., 2022). Both are means over all
    predictions, weighted by the teacher's highest probability of a class.
    """

    detector: Detector
    priors: PriorTensors
    temperature: float

    def __call__(self, outputs: Outputs, teacher: Outputs) -> Tensor:
        """Return the loss of a batch, in single precision; 0 for equal outputs."""
        student, teacher = (Outputs(*(part.float() for part in one)) for one in (outputs, teacher))
        coder = self.detector.coder
        sure = probabilities(coder, teacher.scores).amax(-1)
        classes = _CLASSES[coder](student.scores, teacher.scores, self.temperature)
        boxes = self._boxes(student.boxes, teacher.boxes)
        class_gain, box_gain = GAINS[coder]
        return ((class_gain * classes + box_gain * boxes) * sure).sum() / sure.sum().clamp(min=1)

    def _boxes(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return how far each box lies from the teacher's, (batch, predictions)."""
        if self.detector.coder == "yolo":
            return softmax_divergence(by_side(student), by_side(teacher), self.temperature).mean(-1)
        wanted = decode(self.detector.coder, teacher, self.priors)
        size = (wanted[..., 2:] - wanted[..., :2]).clamp(min=1).repeat(1, 1, 2)
        apart = (decode(self.detector.coder, student, self.priors) - wanted) / size
        nothing = torch.zeros_like(apart)
        return F.smooth_l1_loss(apart, nothing, reduction="none", beta=BETA).sum(-1)


def softmax_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the divergence of softmaxes over the last axis, times the squared temperature."""
    logs = F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1)
    return F.kl_div(*logs, reduction="none", log_target=True).sum(-1) * temperature**2


def sigmoid_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the divergence of sigmoids, summed over the last axis, times the same."""
    wanted = (teacher / temperature).sigmoid()
    cross = F.binary_cross_entropy_with_logits(student / temperature, wanted, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher / temperature, wanted, reduction="none")
    return (cross - own).sum(-1) * temperature**2


_CLASSES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "ssd": softmax_divergence,
    "yolo": sigmoid_divergence,
    "yolov5": sigmoid_divergence,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionLayout:
    """What a detector predicts: its outputs, where they start, and the side of its input."""

    detector: Detector
    priors: Priors
    side: int


def check_same_layout(student: PredictionLayout, teacher: PredictionLayout) -> None:
    """Refuse a teacher whose predictions are not those of the student, one for one.

    Raises:
        NasError: naming what differs.
    """
    if differs := next(_differences(student, teacher), None):
        raise NasError(
            f"the teacher's {differs}; a detector learns from one with the same head, classes and "
            "resolution"
        )


def _differences(student: PredictionLayout, teacher: PredictionLayout) -> Iterator[str]:
    """Yield what differs, as in "coder is yolo, the detector's ssd"."""
    ours, theirs = student.detector, teacher.detector
    facts = {
        "coder": (ours.coder, theirs.coder),
        "number of classes": (ours.classes, theirs.classes),
        "number of bins": (ours.bins, theirs.bins),
        "resolution": (student.side, teacher.side),
        "number of predictions": (len(student.priors), len(teacher.priors)),
    }
    for name, (own, other) in facts.items():
        if own != other:
            yield f"{name} is {other}, the detector's {own}"
    near = (student.priors.corners, teacher.priors.corners)
    if len(near[0]) == len(near[1]) and not np.allclose(*near, atol=0.5):
        yield "anchors are others than the detector's"
