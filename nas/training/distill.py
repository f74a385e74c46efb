"""A teacher: a trained network that another one learns from."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor, nn

from nas.network.blocks import Architecture
from nas.network.checkpoint import Checkpoint, load_checkpoint
from nas.training.data import Data
from nas.training.tasks.find import task_of
from nas.training.trained import check_classes, network_of


class Teacher(nn.Module):
    """A trained network, frozen; the student's images are normalised and resized for it."""

    scale: Tensor
    shift: Tensor

    def __init__(self, found: Checkpoint, data: Data) -> None:
        """Take the network of `found` for images that are normalised as `data` says."""
        super().__init__()
        self.network = network_of(found)
        self.side = found.arch.resolution
        self.fingerprint = _digest(found)
        theirs, ours = (
            _columns(data.mean, data.deviation),
            _columns(found.data.mean, found.data.deviation),
        )
        self.register_buffer("scale", theirs[1] / ours[1])
        self.register_buffer("shift", (theirs[0] - ours[0]) / ours[1])
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        """Map images of any side, normalised for the student, to what the network computes."""
        images = images * self.scale + self.shift
        if images.shape[-1] != self.side:
            size = (self.side, self.side)
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return self.network(images)


def load_teacher(text: str, data: Data, arch: Architecture) -> Teacher:
    """Return the trained network that `text` means as a teacher of `arch` for `data`.

    Raises:
        NasError: if there is none, it knows other classes, or `arch` cannot learn from it.
    """
    found = load_checkpoint(text)
    task_of(arch).check_teacher(found.arch)
    check_classes(found, data)
    return Teacher(found, data)


def _digest(found: Checkpoint) -> str:
    """Return sixteen hex digits that are equal for equal weights of equal architectures."""
    digest = sha256(found.arch.fingerprint.encode())
    for name, value in sorted(found.weights.items()):
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()[:16]


def _columns(*values: Sequence[float]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(row, dtype=torch.float32)[None, :, None, None] for row in values)
