"""Running statistics of a network that shares its weights, measured on training images.

Those of a supernet are a mixture of all its networks', and fit none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil

import torch
from torch import Tensor, nn

from nas.core.errors import BadValue
from nas.models.build import Network
from nas.network.blocks import Architecture
from nas.network.weights import Weights
from nas.training.batches import Batch, Batches
from nas.training.data import Data
from nas.training.evaluate import memory_named, placed
from nas.training.trained import with_weights

BATCHES, BATCH = 4, 256
AT_ONCE = 64
"""Images that pass a network together, which bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchNormCalibration:
    """The training images that statistics are measured on: so many `batches` of `batch` images.

    They are the first of the order that seed 0 gives, not augmented, and pass the network in parts
    of `at_once` images or fewer. With 0 batches the statistics stay those of the supernet. Images
    are kept for every resolution.
    """

    data: Data
    batches: int = BATCHES
    batch: int = BATCH
    at_once: int = AT_ONCE
    _kept: dict[tuple[int, str], tuple[Batch, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse sizes without a variance."""
        if self.batches < 0:
            raise BadValue(f"calibration must be 0 batches or more, not {self.batches}")
        if self.batch < 2:
            raise BadValue(f"batch must be 2 images or more, not {self.batch}", "batch")

    def images(self, side: int, device: torch.device) -> tuple[Tensor, ...]:
        """Return the images at a resolution, in parts."""
        return tuple(pixels for pixels, _ in self.labelled(side, device))

    def labelled(self, side: int, device: torch.device) -> tuple[Batch, ...]:
        """Return the images and their labels at a resolution, in parts."""
        key = side, str(device)
        if self.batches and key not in self._kept:
            part = max(2, min(self.batch, self.at_once))
            images = Batches(
                self.data.train,
                batch=part,
                side=side,
                data=self.data,
                seed=0,
                epoch=0,
                shuffle=True,
                device=str(device),
                drop_last=True,
            )
            self._kept[key] = tuple(islice(images, self.batches * ceil(self.batch / part)))
        return self._kept.get(key, ())


def calibrated(
    arch: Architecture, weights: Weights, images: Sequence[Tensor], device: torch.device
) -> Network:
    """Return the network `arch` on its device, its statistics measured on batches of `images`."""
    network = with_weights(arch, {name: torch.from_numpy(v) for name, v in weights.items()})
    placed(network, device)
    if images:
        measure_statistics(network, images)
    return network


@torch.no_grad()
def measure_statistics(network: nn.Module, images: Sequence[Tensor]) -> None:
    """Set the running statistics of `network` to the means over batches; it stays in eval mode.

    Raises:
        OutOfMemory: if a batch does not fit.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # equal weights for all batches
        norm.train()
    with memory_named(len(images[0]), images[0].shape[-1]):
        for pixels in images:
            network(pixels)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()
