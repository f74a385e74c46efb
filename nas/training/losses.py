"""Losses: cross-entropy with smoothed or mixed labels, and distillation."""

import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of `logits` (batch, classes), in single precision or better.

    `labels` are classes (batch) or shares of classes (batch, classes). `smoothing` is the share of
    a label that goes to all classes alike (Szegedy et al., 2016).
    """
    logits = logits if logits.element_size() >= 4 else logits.float()
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def distillation(logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Return how far `logits` lie from a teacher's: Kullback-Leibler divergence, batch mean.

    Both are softened by `temperature`, whose square keeps the gradients in scale with those of
    the cross-entropy (Hinton et al., 2015).
    """
    ours = F.log_softmax(logits.float() / temperature, 1)
    theirs = F.log_softmax(teacher.float() / temperature, 1)
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2
