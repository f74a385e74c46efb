"""The accuracy of any network of a supernet on held-out images."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from nas.core.errors import BadValue
from nas.models.build import Network, weights_of
from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint
from nas.supernet.calibration import (
    AT_ONCE,
    BATCH,
    BATCHES,
    BatchNormCalibration,
    calibrated,
)
from nas.supernet.probe import probe
from nas.supernet.supernet import Supernet
from nas.training.batches import Batch
from nas.training.data import Data
from nas.training.evaluate import autocast, in_order, memory_named, pick_device

_KEPT_BYTES = 512 * 2**20
"""Validation images are kept as tensors up to so many bytes for a resolution."""


class Scorer:
    """Scores networks of one supernet; each is scored once."""

    def __init__(
        self,
        supernet: Supernet,
        data: Data,
        *,
        device: str = "auto",
        calibration: int = BATCHES,
        batch: int = BATCH,
        probe: bool = False,
    ) -> None:
        """Score on the validation images of `data`, after a `calibration` of so many batches.

        With `probe` each network gets a linear classifier for the classes of the data, which is
        fitted on the same batches.

        Raises:
            NasError: if the data have other classes than the supernet, and there is no `probe`.
        """
        if not probe:
            supernet.check_data(data)
        elif not calibration:
            raise BadValue("a probe is fitted on the images of the calibration; give a batch of it")
        own = replace(data, mean=supernet.data.mean, deviation=supernet.data.deviation)
        self.supernet, self.data, self.device = supernet, own, pick_device(device)
        self._calibration = BatchNormCalibration(data=own, batches=calibration, batch=batch)
        self._batch, self._probe = min(batch, AT_ONCE), probe
        self._kept: dict[int, tuple[Batch, ...]] = {}
        self._known: dict[str, float] = {}

    def network(self, arch: Architecture) -> Network:
        """Return a network of the supernet, with its own statistics, on the device.

        Raises:
            NotInSpace: if it is none of the supernet's.
        """
        found = self.supernet.subnet(arch)
        images = self._calibration.images(found.arch.resolution, self.device)
        return calibrated(found.arch, found.weights, images, self.device)

    def checkpoint(self, arch: Architecture) -> Checkpoint:
        """Return a network of the supernet as a trained one, with its statistics and accuracy."""
        found = self.supernet.subnet(arch)
        weights = weights_of(self.network(found.arch))
        return replace(found, weights=weights, top1=self.top1(found.arch))

    def top1(self, arch: Architecture) -> float:
        """Return the accuracy of a network of the supernet on the validation images."""
        own = self.supernet.subnet_arch(arch)
        if own.fingerprint not in self._known:
            self._known[own.fingerprint] = self._score(self.network(own), own.resolution)
        return self._known[own.fingerprint]

    def _score(self, network: Network, side: int) -> float:
        if self._probe:
            taught = self._calibration.labelled(side, self.device)
            return probe(network, taught, self._images(side))
        right, count = 0, 0
        with torch.inference_mode(), memory_named(self._batch, side):
            for pixels, labels in self._images(side):
                with autocast(self.device):
                    logits = network(pixels)
                right += int((logits.argmax(1) == labels).sum())
                count += len(labels)
        return right / count

    def _images(self, side: int) -> Iterable[Batch]:
        """Return the validation images, which are kept if they are few."""
        if side in self._kept:
            return self._kept[side]
        val = self.data.val
        batches = in_order(val, self.data, side=side, batch=self._batch, device=self.device)
        if len(val) * 3 * side * side * 4 > _KEPT_BYTES:
            return batches
        return self._kept.setdefault(side, tuple(batches))
