"""Read Once-for-All's supernets of the space `mobilenetv3`, trained on ImageNet by their authors.

The files are those of the code at mit-han-lab/once-for-all (Cai et al., 2020; MIT), called
ofa_mbv3_d234_e346_k357_w1.0 and ..._w1.2 there. Blocks stand in one row, after the first one four
for each stage; kernels of 5 and 3 are the centre of the next larger one times a matrix, whose rows
give the new pixels; normalisation has an epsilon of 1e-5.
"""

import re
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import numpy as np

from nas.core.errors import BadFile
from nas.network.checkpoint import DataMetadata
from nas.network.layers import Linear
from nas.network.weights import Array, Weights, layer_shapes
from nas.space.file import load_space
from nas.space.space import Space
from nas.supernet.layers import Shared, shared_layers
from nas.supernet.slicing import TRANSFORM
from nas.supernet.supernet import Supernet
from nas.training.foreign import IMAGENET_DEVIATION, IMAGENET_MEAN
from nas.training.plain_weights import read_tensors

SPACE, CLASSES, EPSILON = "mobilenetv3", 1000, 1e-5
_WIDER: Mapping[int, str] = {24: "mobilenetv3_w12"}
"""Other spaces than `SPACE`, by the channels of the first layer."""
_FIRST = "first_conv.conv.weight"
OFA = "ofa:"
_PARTS = {
    "expand": "inverted_bottleneck",
    "depthwise": "depth_conv",
    "squeeze": "depth_conv.se.fc",
    "project": "point_linear",
}
_AROUND = {
    "stem.0.conv.conv": "first_conv",
    "head.0.conv.conv": "final_expand_layer",
    "head.2.linear.linear": "feature_mix_layer",
    "head.3.linear.classes": "classifier",
}
"""From our names of shared layers to those of the file."""
_MIX = "feature_mix_layer"
"""A convolution without bias there, a linear layer here."""


def load_ofa(path: Path) -> Supernet:
    """Return the supernet in a file of Once-for-All, of ImageNet's thousand classes.

    Raises:
        BadFile: if it cannot be read, wants to run code, or a tensor is missing or does not fit.
    """
    found = {_plain(name): value for name, value in read_tensors(path).items()}
    channels = len(found[_FIRST]) if _FIRST in found and found[_FIRST].ndim else 0
    space = load_space(_WIDER.get(channels, SPACE))
    weights: dict[str, Array] = {}
    for key, shared in shared_layers(space, CLASSES).items():
        weights |= _layer(path, found, key, shared, _name(key, space))
    data = DataMetadata(
        name=f"{OFA}{path}",
        fingerprint="",
        classes=tuple(map(str, range(CLASSES))),
        mean=IMAGENET_MEAN,
        deviation=IMAGENET_DEVIATION,
    )
    return Supernet(
        path=path,
        source=f"{OFA}{path}",
        space=space,
        weights=weights,
        data=data,
        epsilon=EPSILON,
        named=False,
    )


def _plain(name: str) -> str:
    """Return a name of the file without what only its modules need, and as later versions have it.

    "blocks.3.mobile_inverted_conv.point_linear.bn.bn.weight" is "blocks.3.point_linear.bn.weight".
    """
    name = re.sub(r"^(blocks\.\d+)\.(mobile_inverted_conv|conv)\.", r"\1.", name)
    return re.sub(r"\.(bn|conv|linear)\.\1\.", r".\1.", name)


def _name(key: str, space: Space) -> str:
    """Return what the file calls a shared layer."""
    if key in _AROUND:
        return _AROUND[key]
    place, stage, layer, _, part = key.split(".") if key.startswith("stages") else _first(key)
    before = [0, *accumulate(row.max_layers for row in space.stages)]
    number = 0 if place == "stem" else 1 + before[int(stage)] + int(layer)
    return f"blocks.{number}.{_PARTS[part]}"


def _first(key: str) -> tuple[str, str, str, str, str]:
    place, layer, kind, part = key.split(".")
    return place, "0", layer, kind, part


def _layer(path: Path, found: Weights, key: str, shared: Shared, name: str) -> Weights:
    """Return the tensors of one shared layer by our names."""
    made: dict[str, Array] = {}
    for part, shape in layer_shapes(shared.layer).items():
        made[f"{key}.{part}"] = _tensor(path, found, _tensor_name(name, part, shared), shape)
    for size, larger in zip(shared.kernels[1:], shared.kernels, strict=False):
        matrix = f"{name}.conv.{larger}to{size}_matrix"
        rows = _tensor(path, found, matrix, (size * size, size * size))
        made[f"{key}.{TRANSFORM}{size}"] = np.ascontiguousarray(rows.T)
    return made


def _tensor_name(name: str, part: str, shared: Shared) -> str:
    """Return what the file calls a tensor of the layer `name`."""
    if part.startswith("norm."):
        return f"{name}.bn.{part.removeprefix('norm.')}"
    if name.endswith(".fc"):
        return f"{name}.{part}"
    inner = "linear" if isinstance(shared.layer, Linear) and name != _MIX else "conv"
    return f"{name}.{inner}.{part}"


def _tensor(path: Path, found: Weights, name: str, shape: tuple[int, ...]) -> Array:
    if name == f"{_MIX}.conv.bias":
        return np.zeros(shape, np.float32)
    if name not in found:
        raise BadFile(
            f"{path} has no tensor {name}; a supernet of space {SPACE} is expected, as in "
            "ofa_mbv3_d234_e346_k357_w1.0 of Once-for-All"
        )
    value = found[name]
    if name == f"{_MIX}.conv.weight" and value.shape == (*shape, 1, 1):
        value = value.reshape(shape)
    if value.shape != shape:
        raise BadFile(
            f"{path}: tensor {name} has shape {value.shape}, and {shape} was expected; only "
            "Once-for-All's widths of 1.0 and 1.2 are read"
        )
    if not np.isfinite(value).all():
        raise BadFile(f"{path}: tensor {name} has numbers that are not finite")
    return value
