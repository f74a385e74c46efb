"""What a step of a supernet trains: the sandwich rule, and the largest network as a teacher.

As in BigNAS (Yu et al., 2020): every batch is seen by the largest network, which learns from the
labels, and by the smallest and some random ones, which learn from what the largest says of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor, nn

from nas.core.errors import BadValue
from nas.models.build import weights_of
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.space.space import Matrix, Space
from nas.supernet.calibration import BatchNormCalibration, calibrated
from nas.supernet.layers import shared_layers
from nas.supernet.network import build_shared, zero_init_branches
from nas.supernet.sampling import largest, sample_subnets, smallest
from nas.supernet.slicing import subnet_weights
from nas.supernet.supernet import subnet_arch
from nas.training.batches import Batch, Batches
from nas.training.evaluate import Score, autocast, score_batches
from nas.training.tasks.task import Loss

KERNELS = ("crop", "transform")
_SCORED = 2
"""Random networks that are scored after every epoch, beside the largest and the smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How the networks of a space share weights, and what a step trains.

    `kernel`: smaller kernels are the centre of larger ones ("crop"), or that times a learned matrix
    ("transform"). `random`: how many random networks a step trains. Without `sandwich` it trains
    only these; without `distil` all learn from the labels.
    """

    kernel: str = "crop"
    random: int = 2
    sandwich: bool = True
    distil: bool = True

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise BadValue(f"kernel must be one of {', '.join(KERNELS)}, not {self.kernel}")
        if self.random < (0 if self.sandwich else 1):
            raise BadValue(f"random must be 1 or more networks a step, not {self.random}")


@dataclass(frozen=True, kw_only=True, eq=False)
class SandwichTraining:
    """The steps of a supernet of the networks of `space` for so many `classes`.

    Random networks come from the rows in `pool`, by default from the whole space. `calibration`
    measures the statistics of networks that are scored.
    """

    space: Space
    classes: int
    sharing: Sharing
    calibration: BatchNormCalibration
    pool: Matrix | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the outcome, as plain data."""
        own = self.sharing
        return {
            "space": self.space.fingerprint,
            "kernel": own.kernel,
            "random": own.random,
            "sandwich": own.sandwich,
            "distil": own.distil,
        }

    @cached_property
    def largest(self) -> Architecture:
        """The largest network."""
        return self._network(largest(self.space))

    @cached_property
    def smallest(self) -> Architecture:
        """The smallest network."""
        return self._network(smallest(self.space))

    def _network(self, row: Matrix) -> Architecture:
        return subnet_arch(self.space.decode_row(row), self.classes)

    def build(self, seed: int) -> nn.Module:
        """Return the shared weights, freshly drawn; residual branches add nothing at first."""
        layers = shared_layers(self.space, self.classes)
        network = build_shared(layers, transforms=self.sharing.kernel == "transform", seed=seed)
        always = all("none" not in row.options["skip"] for row in self.space.stages)
        if always:
            zero_init_branches(network, (u for u in lower(self.largest) if u.shortcut != "none"))
        return network

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Iterator[Tensor]:
        """Yield the share of each network of a step in the mean of their losses."""
        images, labels = batch
        others = self.others()
        share = 1 / (len(others) + self.sharing.sandwich)
        soft: Tensor | None = None
        if self.sharing.sandwich:
            logits = _logits(model, images, self.largest, leads=True)
            soft = logits.detach().float().softmax(1) if self.sharing.distil else None
            yield loss(logits, labels) * share
        for arch in others:
            logits = _logits(model, images, arch)
            own = loss(logits, labels) if soft is None else F.cross_entropy(logits.float(), soft)
            yield own * share

    def others(self) -> tuple[Architecture, ...]:
        """Return the networks of a step beside the largest, by torch's random numbers."""
        rng = np.random.default_rng(int(torch.randint(0, 2**62, ())))
        rows = sample_subnets(self.space, self.sharing.random, rng, self.pool)
        found = tuple(subnet_arch(a, self.classes) for a in self.space.decode_rows(rows))
        return (self.smallest, *found) if self.sharing.sandwich else found

    def score(self, model: nn.Module, batches: Batches) -> "SharedScore":
        """Return the accuracy of the largest, the smallest and some random networks."""
        rows = sample_subnets(self.space, _SCORED, np.random.default_rng(0), self.pool)
        archs = (self.largest, self.smallest, *map(self._network, rows))
        shared, device = weights_of(model), torch.device(batches.device)
        found = []
        for arch in archs:
            images = self.calibration.images(arch.resolution, device)
            network = calibrated(arch, subnet_weights(shared, arch), images, device)
            found.append(score_batches(network, replace(batches, side=arch.resolution)))
        return SharedScore(scores=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedScore:
    """The scores of some networks of a supernet, the largest and the smallest first."""

    scores: tuple[Score, ...]

    @property
    def loss(self) -> float:
        """The mean loss of the networks."""
        return sum(score.loss for score in self.scores) / len(self.scores)

    @property
    def images(self) -> int:
        """The number of images."""
        return self.scores[0].images

    @property
    def value(self) -> float:
        """The mean accuracy of the networks."""
        return sum(score.top1 for score in self.scores) / len(self.scores)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The mean accuracy, and that of the largest and the smallest network."""
        largest, smallest = self.scores[0].top1, self.scores[1].top1
        return {"top1": self.value, "top1_largest": largest, "top1_smallest": smallest}


def _logits(model: nn.Module, images: Tensor, arch: Architecture, *, leads: bool = False) -> Tensor:
    """Return what the network `arch` says of images, which are made as small as it takes them."""
    if images.shape[-1] != arch.resolution:
        side = (arch.resolution, arch.resolution)
        images = F.interpolate(images, side, mode="bilinear", antialias=True)
    with autocast(images.device):
        logits: Tensor = model(images, arch, leads=leads)
    return logits
