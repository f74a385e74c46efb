"""Torch modules without weights that join, split and resize maps."""

from collections.abc import Callable, Mapping
from functools import reduce

import torch
import torch.nn.functional as F  # the customary name
from torch import Tensor, nn

from nas.network.layers import Add, Concat, Layer, MaxPool, Shuffle, Split, Upsample


class Moving(nn.Module):
    """A layer without weights that joins, splits or resizes maps."""

    def __init__(self, layer: Layer, act: nn.Module | None = None) -> None:
        """Make the module of `layer`, followed by `act`."""
        super().__init__()
        self.layer = layer
        self.act = act if act is not None else nn.Identity()

    def forward(self, *maps: Tensor) -> Tensor:
        """Map the inputs of the layer to its output shape."""
        result: Tensor = self.act(move(self.layer, *maps))
        return result


def _concat(layer: Concat, *maps: Tensor) -> Tensor:
    return torch.cat(maps, 1)


def _add(layer: Add, *maps: Tensor) -> Tensor:
    return reduce(torch.add, maps)


def _upsample(layer: Upsample, x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=float(layer.factor), mode="nearest")


def _maxpool(layer: MaxPool, x: Tensor) -> Tensor:
    before = (layer.kernel - 1) // 2
    return F.max_pool2d(x, layer.kernel, layer.stride, before)


def _split(layer: Split, x: Tensor) -> Tensor:
    return x[:, layer.first : layer.first + layer.out_shape[0]]


def _shuffle(layer: Shuffle, x: Tensor) -> Tensor:
    return F.channel_shuffle(x, 2)


def move(layer: Layer, *maps: Tensor) -> Tensor:
    """Return what `layer`, which has no weights, makes of `maps`."""
    return _MOVES[type(layer)](layer, *maps)


_MOVES: Mapping[type, Callable[..., Tensor]] = {
    Add: _add,
    Concat: _concat,
    Upsample: _upsample,
    MaxPool: _maxpool,
    Split: _split,
    Shuffle: _shuffle,
}
