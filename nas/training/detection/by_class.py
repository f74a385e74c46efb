"""Score a trained detector class by class, and show what it finds."""

from dataclasses import dataclass

import numpy as np

from nas.network.checkpoint import Checkpoint
from nas.training.data import Data
from nas.training.detection.evaluate import DetectionScore, objects_of, score_detector
from nas.training.detection.examples import Example, examples
from nas.training.tasks.find import detection_of
from nas.training.trained import to_score

EXAMPLES = 8
_SIDE = 320
"""Pixels of the side of an example, in a picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionEvaluation:
    """The score of a detector on a split, and the objects there, without crowds, by class."""

    score: DetectionScore
    classes: tuple[str, ...]
    objects: tuple[int, ...]


def evaluate_detector(
    found: Checkpoint,
    data: Data,
    *,
    split: str = "val",
    device: str = "auto",
    batch: int = 256,
) -> DetectionEvaluation:
    """Evaluate a trained detector on a split, "val" or "test".

    The images are normalised as in its training.

    Raises:
        NasError: if there is no such split, or the data are of another task or other classes.
    """
    model, batches = to_score(found, data, split=split, device=device, batch=batch)
    task, objects = detection_of(found.arch), objects_of(batches)
    score = score_detector(model, batches, task.detector, task.priors)
    counts = np.bincount(objects.labels[~objects.crowd], minlength=len(data.classes))
    return DetectionEvaluation(score=score, classes=data.classes, objects=tuple(counts.tolist()))


def examples_of(
    found: Checkpoint, data: Data, *, split: str = "val", device: str = "auto"
) -> list[Example]:
    """Return some images of a split with what a trained detector finds in them.

    Raises:
        NasError: as `evaluate_detector` does.
    """
    model, batches = to_score(found, data, split=split, device=device, batch=EXAMPLES)
    task = detection_of(found.arch)
    return examples(model, batches, task.detector, task.priors, count=EXAMPLES, side=_SIDE)
