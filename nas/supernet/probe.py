"""The accuracy of a linear classifier on what a network computes before its own one."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nas.models.build import Network
from nas.training.batches import Batch
from nas.training.evaluate import autocast

_PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Of ridge regression, on features of variance 1, times the number of images."""
_HOLD_OUT = 5
"""One image of so many chooses the penalty."""


@torch.inference_mode()
def probe(network: Network, train: Iterable[Batch], test: Iterable[Batch]) -> float:
    """Return the fraction of right answers to `test` after a fit to `train`.

    The classifier is a ridge regression of the classes, whose penalty a fifth of the images
    chooses; the network stays as it is, in evaluation mode.
    """
    features, labels = _features(network, train)
    rows = torch.arange(len(labels), device=labels.device)
    held = rows % _HOLD_OUT == 0
    scored = [
        (_right(_fit(features[~held], labels[~held], by), features[held], labels[held]), -by)
        for by in _PENALTIES
    ]
    return _right(_fit(features, labels, -max(scored)[1]), *_features(network, test))


def _features(network: Network, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Return what the classifier reads, shape (images, features), and the labels."""
    found = []
    for pixels, labels in batches:
        with autocast(pixels.device):
            maps = network.head[:-1](network.stages(network.stem(pixels)))
        found.append((maps.flatten(1).double(), labels))
    features, labels = zip(*found, strict=True)
    return torch.cat(features), torch.cat(labels)


def _fit(features: Tensor, labels: Tensor, penalty: float) -> Sequence[Tensor]:
    """Return mean, deviation and weights of the features, and the mean of the classes."""
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
    inputs = (features - mean) / deviation
    wanted = torch.nn.functional.one_hot(labels).double()
    usual = wanted.mean(0)
    squares = inputs.T @ inputs
    squares.diagonal().add_(penalty * len(labels))
    weights = torch.linalg.solve(squares, inputs.T @ (wanted - usual))
    return mean, deviation, weights, usual


def _right(fitted: Sequence[Tensor], features: Tensor, labels: Tensor) -> float:
    mean, deviation, weights, usual = fitted
    answers = ((features - mean) / deviation @ weights + usual).argmax(1)
    return float((answers == labels).double().mean())
