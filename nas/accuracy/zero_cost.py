"""Score an untrained network by name, on a batch of images: a zero-cost proxy for its accuracy."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite

import torch
from torch import Tensor

from nas.accuracy.untrained import grad_norm, macs, naswot, params, snip, synflow, zen
from nas.core.errors import BadValue, NasError, unknown
from nas.network.blocks import Architecture
from nas.training.batches import Batch, Batches
from nas.training.data import Data
from nas.training.task import check_resolution

Score = Callable[[Architecture, Tensor, Tensor, int], float]

SCORES: Mapping[str, Score] = {
    "naswot": naswot,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "zen": zen,
    "params": params,
    "macs": macs,
}
"""From the name of a score to its function."""

LABELLED = ("snip", "grad_norm")
"""Scores that look at the labels."""


def zero_cost_score(
    name: str, arch: Architecture, images: Tensor, labels: Tensor, *, seed: int
) -> float:
    """Return the score called `name` of `arch`, untrained, with weights drawn with `seed`.

    `images` are normalised, of shape (n, channels, side, side); the network is put on their device.
    Their side need not be the architecture's resolution. `labels` are int64 of shape (n,); scores
    outside of `LABELLED` take no notice of them. Dropout and drop-connect are left out. Torch's
    global random numbers are neither used nor changed.

    Unlike the predictions of models, a score is the same on one kind of processor only: torch draws
    weights and convolves with other instructions, and so other last digits, on another.

    Raises:
        NasError: if there is no such score, the images or labels do not fit the architecture, or
            the score is no finite number.
    """
    if name not in SCORES:
        raise unknown("zero-cost score", name, SCORES)
    _check(arch, images, labels)
    value = SCORES[name](replace(arch, dropout=0.0, drop_connect=0.0), images, labels, seed)
    if not isfinite(value):
        raise NasError(
            f"{name} of {arch.name or arch.fingerprint} came out as {value}; "
            "take more varied images, another seed, or another score"
        )
    return value


def first_batch(data: Data, *, batch: int, side: int, seed: int) -> Batch:
    """Return the first `batch` training images after shuffling with `seed`, and their labels.

    Fewer where there are not so many. Images are normalised, and have sides of `side` pixels.
    """
    batches = Batches(
        data.train, batch=batch, side=side, data=data, seed=seed, epoch=0, shuffle=True, ahead=1
    )
    return next(iter(batches))


def random_batch(*, batch: int, side: int, seed: int) -> Batch:
    """Return images drawn from N(0, 1), as normalised ones are on average, all of class 0."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, side, side, generator=generator)
    return images, torch.zeros(batch, dtype=torch.int64)


def _check(arch: Architecture, images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != arch.input_channels or len(images) < 2:
        raise BadValue(
            f"a zero-cost score needs 2 images or more of {arch.input_channels} channels, "
            f"not a tensor of shape {tuple(images.shape)}"
        )
    check_resolution(replace(arch, resolution=min(images.shape[2:])))
    last = arch.named_blocks()[-1][1]
    if last.kind != "linear":
        raise BadValue(f"a classifier ends in a linear block, not in {last.kind}", "head")
    if len(labels) != len(images) or labels.min() < 0 or labels.max() >= last.out_channels:
        raise BadValue(
            f"{len(images)} images need as many labels from 0 to {last.out_channels - 1}, "
            f"not {len(labels)} from {labels.min()} to {labels.max()}"
        )
