"""Score a trained network class by class: which images of a class it takes for which."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.training.data import Data
from nas.training.evaluate import Score, score_batches
from nas.training.tasks.find import task_of
from nas.training.tasks.task import Scored
from nas.training.trained import to_score

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The score of a network on a split, and its confusion matrix.

    `counts` has a row for each class of `classes` and a column for each answer.
    """

    score: Score
    classes: tuple[str, ...]
    counts: Counts

    @property
    def images(self) -> Counts:
        """The number of images of each class."""
        found: Counts = self.counts.sum(axis=1)
        return found

    @property
    def accuracy(self) -> tuple[float | None, ...]:
        """The share of right answers of each class, None where the split has no images of it."""
        right, images = self.counts.diagonal(), self.images
        return tuple(int(r) / int(n) if n else None for r, n in zip(right, images, strict=True))


def evaluate(
    found: Checkpoint, data: Data, *, split: str = "val", device: str = "auto", batch: int = 256
) -> Evaluation:
    """Evaluate a trained network on a split, "val" or "test".

    The images are normalised as in its training.

    Raises:
        NasError: if there is no such split, or the classes differ.
    """
    model, batches = to_score(found, data, split=split, device=device, batch=batch)
    size = len(data.classes)
    counts = torch.zeros(size * size, dtype=torch.int64)

    def count(logits: torch.Tensor, labels: torch.Tensor) -> None:
        places = (labels * size + logits.argmax(1)).cpu()
        counts.index_add_(0, places, torch.ones_like(places))

    total = score_batches(model, batches, also=count)
    matrix = counts.numpy().reshape(size, size)
    return Evaluation(score=total, classes=data.classes, counts=matrix)


def score_checkpoint(
    text: str, data: Data, *, split: str = "val", device: str = "auto", batch: int = 256
) -> Scored:
    """Return the score of the trained network that `text` means, of whatever task.

    `text` is a training folder (then its best), FOLDER:last, or a .safetensors file.

    Raises:
        NasError: as `evaluate` does.
    """
    found = load_checkpoint(text)
    model, batches = to_score(found, data, split=split, device=device, batch=batch)
    return task_of(found.arch).score(model, batches)
