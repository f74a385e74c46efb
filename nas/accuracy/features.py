"""The features of a network for accuracy predictors: named numbers, from blocks or from picks.

They describe the size of the network, and its layers at each stride of the feature maps (2, 4, 8,
16, 32): their number, width, expansion, kernel, and fractions of squeeze-and-excitation and of
smooth activations. They describe classifiers of MBConv blocks well, and other blocks only as far as
these resemble MBConv.

`features` takes architectures; `PicksFeatures` takes matrices of picks of one space, computes the
same numbers, and needs a few microseconds per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nas.network.blocks import Architecture, Block

Floats = NDArray[np.float64]

STRIDES = (2, 4, 8, 16, 32)
"""Strides of the feature maps; finer or coarser maps count with the nearest."""

_PER_STRIDE = ("n", "w", "e", "k", "s", "a", "c")
NAMES = (
    *("g_macs", "g_params", "g_small", "g_depth", "r_side", "h_features", "w_stem"),
    *("s_share", "s_width", "a_share", "k_mean", "x_shortcuts"),
    *(f"{kind}_{stride}" for stride in STRIDES for kind in _PER_STRIDE),
)
"""The features, in the order of the columns; the letter before the underscore names a group:

`g` the size of the network, `r` its resolution, `h` its head, `n` depth, `w` width, `e` expansion,
`k` kernels, `s` squeeze-and-excitation, `a` smooth activations, `c` capacity (hidden channels in
all), `x` shortcuts. `accuracy_models/README.md` has their formulas.
"""

SMOOTH = ("swish", "hswish")
_SE_RATIO = 0.25
_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """One layer in each of several networks: arrays of one length, or single numbers for all.

    `hidden` are the channels of the depthwise convolution, equal to the input's without expansion;
    `dense` is 1 for a plain convolution; `smooth` is 1 for a smooth activation. `count` is the
    number of times the layer occurs, 0 if it is absent.
    """

    inputs: Floats | float
    hidden: Floats | float
    outputs: Floats | float
    kernel: Floats | float
    se: Floats | float
    smooth: Floats | float
    shortcut: Floats | float
    dense: Floats | float = 0.0
    count: Floats | float = 1.0


def layers_of(block: Block) -> Layers:
    """Return one block as a layer of a single network."""
    joins = block.kind == "mbconv" and block.in_channels == block.out_channels
    return Layers(
        inputs=float(block.in_channels),
        hidden=float(block.hidden_channels or block.in_channels),
        outputs=float(block.out_channels),
        kernel=float(block.kernel),
        se=float(block.se_channels),
        smooth=float(block.act in SMOOTH),
        shortcut=float(joins and shortcut(block.stride, block.skip)),
        dense=float(block.kind == "conv"),
    )


def shortcut(stride: int, skip: str) -> bool:
    """Return whether a block with equal input and output widths has a shortcut."""
    return skip == "pool" or (skip == "identity" and stride == 1)


@dataclass(slots=True)
class _AtStride:
    """Sums over the layers at one stride; each is an array or a number."""

    depth: Floats | float = 0.0
    inputs: Floats | float = 0.0
    hidden: Floats | float = 0.0
    outputs: Floats | float = 0.0
    kernels: Floats | float = 0.0
    se: Floats | float = 0.0
    smooth: Floats | float = 0.0
    last: Floats | float = 0.0

    def width(self, before: Floats | float) -> Floats | float:
        """Return the width at the end of the stride, or `before` if the stride has no layers."""
        return np.where(np.greater(self.depth, 0), self.last, before)


class Description:
    """Collects the layers of several networks of the same structure, in order of execution."""

    def __init__(self, resolution: Floats, stem: Layers, stride: int) -> None:
        """Start with the resolutions, shape (networks,), and the first convolution."""
        self._rows, self._side = len(resolution), np.ceil(resolution / stride)
        self._resolution, self._stride = resolution, stride
        weights = stem.inputs * stem.outputs * stem.kernel**2
        self._macs, self._params = weights * self._side**2, weights + 0.0 * resolution
        self._stem, self._end = stem.outputs, stem.outputs + 0.0 * resolution
        self._at = [_AtStride() for _ in STRIDES]
        self._se_channels, self._shortcuts = 0.0 * resolution, 0.0 * resolution

    def add(self, layers: Layers, stride: int = 1) -> None:
        """Add the next layer of every network, or several equal layers."""
        before, self._side = self._side, np.ceil(self._side / stride)
        self._stride *= stride
        count, inputs, hidden = layers.count, layers.inputs, layers.hidden
        expand = np.where(np.equal(inputs, hidden), 0.0, inputs * hidden)
        spatial, project = hidden, hidden * layers.outputs
        if np.any(layers.dense):
            spatial = np.where(layers.dense, inputs * layers.outputs, hidden)
            project = np.where(layers.dense, 0.0, project)
        rest = layers.kernel**2 * spatial + project
        self._macs = self._macs + count * (expand * before**2 + rest * self._side**2)
        self._params = self._params + count * (expand + rest + 2 * hidden * layers.se)
        self._se_channels = self._se_channels + count * layers.se
        self._shortcuts = self._shortcuts + count * layers.shortcut
        self._end = np.where(np.greater(count, 0), layers.outputs, self._end)
        place, together = self._at[_place(self._stride)], count * hidden
        place.depth = place.depth + count
        place.inputs = place.inputs + count * inputs
        place.outputs = place.outputs + count * layers.outputs
        place.hidden = place.hidden + together
        place.kernels = place.kernels + together * (layers.kernel - 3) / 2
        place.se = place.se + together * np.greater(layers.se, 0)
        place.smooth = place.smooth + together * layers.smooth
        place.last = self._end

    def features(self, features: Floats | float, head_weights: Floats | float) -> Floats:
        """Return the features of all networks, shape (networks, `NAMES`).

        `features` is the number of features that enter the classifier, `head_weights` the number of
        weights of the head's convolutions.
        """
        at, found = self._at, np.empty((self._rows, len(NAMES)))
        depth, hidden = sum(p.depth for p in at), sum(p.hidden for p in at)
        depth, hidden = np.maximum(depth, 1), np.maximum(hidden, 1)
        squeezed = sum(p.se for p in at)
        columns = {
            "g_macs": np.log(self._macs + head_weights * self._side**2),
            "g_params": np.log(self._params),
            "g_small": (_MILLION / self._params) ** 0.5,
            "g_depth": np.log(depth),
            "r_side": np.log(self._resolution),
            "h_features": np.log(features),
            "w_stem": np.log(self._stem),
            "s_share": squeezed / hidden,
            "s_width": self._se_channels / np.maximum(squeezed, 1) / _SE_RATIO,
            "a_share": sum(p.smooth for p in at) / hidden,
            "k_mean": sum(p.kernels for p in at) / hidden,
            "x_shortcuts": self._shortcuts / depth,
        }
        width = self._stem
        for stride, place in zip(STRIDES, at, strict=True):
            at_stride = _at_stride(place, width)
            columns |= {f"{kind}_{stride}": value for kind, value in at_stride.items()}
            width = place.width(width)
        for i, name in enumerate(NAMES):
            found[:, i] = columns[name]
        return found


def _at_stride(place: _AtStride, before: Floats | float) -> dict[str, Floats | float]:
    """Return the features of one stride, whose input has the width `before`."""
    share, width = np.maximum(place.hidden, 1), place.width(before)
    mean = np.where(np.greater(place.depth, 0), place.outputs / np.maximum(place.depth, 1), width)
    return {
        "n": np.log1p(place.depth),
        "w": np.log(mean),
        "e": np.log((place.hidden + width) / (place.inputs + width)),
        "k": place.kernels / share,
        "s": place.se / share,
        "a": place.smooth / share,
        "c": np.log1p(place.hidden),
    }


@cache
def _place(stride: int) -> int:
    distances = [abs(np.log2(stride / s)) for s in STRIDES]
    return int(np.argmin(distances))


def features(archs: Architecture | Sequence[Architecture]) -> Floats:
    """Return the features of architectures, shape (architectures, `NAMES`)."""
    archs = [archs] if isinstance(archs, Architecture) else archs
    return np.concatenate([np.empty((0, len(NAMES))), *map(_features, archs)])


def _features(arch: Architecture) -> Floats:
    blocks = [*arch.stem, *(block for stage in arch.stages for block in stage)]
    start = layers_of(blocks[0])
    described = Description(np.array([float(arch.resolution)]), start, blocks[0].stride)
    for block in blocks[1:]:
        described.add(layers_of(block), block.stride)
    return described.features(*head_of(arch.head))


def head_of(head: Sequence[Block]) -> tuple[float, float]:
    """Return the number of features entering the classifier, and of weights of convolutions."""
    weights = [b.in_channels * b.out_channels * b.kernel**2 for b in head if b.kind == "conv"]
    return float(head[-1].in_channels), float(sum(weights))
