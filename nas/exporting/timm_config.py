"""The configuration of a network in the shape that timm writes beside weights, config.json."""

import json
from collections.abc import Mapping
from typing import Any

from nas.core.text import file_name
from nas.network.blocks import Architecture
from nas.network.checkpoint import named_classes
from nas.network.layers import Pool
from nas.network.lowering import lower
from nas.network.zoo import load_architecture

CONFIG = "config.json"
_WIDTHS = {
    "mobilenetv1": ("mobilenet_v1", (100, 125)),
    "mobilenetv2": ("mobilenet_v2", (35, 50, 75, 100, 140)),
    "mobilenetv3_large": ("mobilenet_v3_large", (75, 100)),
    "mobilenetv3_small": ("mobilenet_v3_small", (75, 100)),
    "semnasnet": ("mnasnet_a1", (50, 75, 100, 140)),
    "mnasnet": ("mnasnet_b1", (50, 75, 100, 140)),
    "spnasnet": ("single_path_nas", (100,)),
}
"""Families of timm, ours, and their widths there in hundredths."""
_IN_TIMM = {
    f"{theirs}_{width:03d}": f"{ours}@{width / 100}"
    for theirs, (ours, widths) in _WIDTHS.items()
    for width in widths
} | {name: name for name in (f"efficientnet_b{number}" for number in range(8))}
"""Networks of timm, and what we call them."""


def known_name(arch: Architecture) -> str:
    """Return what timm calls `arch` if it is one of its networks, whatever classes and input."""
    for theirs, ours in _IN_TIMM.items():
        base = load_architecture(ours)
        head = (*arch.head[:-1], base.head[-1])
        if (arch.stem, arch.stages, head) == (base.stem, base.stages, base.head):
            return theirs
    return ""


def timm_config(arch: Architecture, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of config.json; `metadata` are those of a checkpoint.

    The architecture is timm's name of the network if it is one of timm's, else its own.
    """
    labels = {"label_names": names} if (names := named_classes(metadata)) else {}
    return {
        "architecture": known_name(arch) or file_name(arch.name, default=arch.fingerprint),
        "num_classes": arch.head[-1].out_channels if arch.head else 0,
        "num_features": arch.head[-1].in_channels if arch.head else 0,
        "global_pool": "avg",
        **labels,
        "model_args": _arguments(arch),
        "pretrained_cfg": _pretrained(arch, metadata),
    }


def _arguments(arch: Architecture) -> dict[str, Any]:
    """Return the keyword arguments of a network of timm by which it computes the same."""
    padding = {"pad_type": arch.padding} if arch.padding != "symmetric" else {}
    images = {"in_chans": arch.input_channels} if arch.input_channels != 3 else {}
    return {"bn_eps": arch.norm_epsilon, **padding, **images}


def _pretrained(arch: Architecture, facts: Mapping[str, str]) -> dict[str, Any]:
    side = arch.resolution
    pools = [unit.layers[0] for unit in lower(arch) if isinstance(unit.layers[0], Pool)]
    return {
        "custom_load": False,
        "input_size": [arch.input_channels, side, side],
        "fixed_input_size": False,
        "pool_size": list(pools[0].in_shape[1:]) if pools else None,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        **({"mean": json.loads(facts["mean"])} if "mean" in facts else {}),
        **({"std": json.loads(facts["deviation"])} if "deviation" in facts else {}),
        "num_classes": arch.head[-1].out_channels if arch.head else 0,
        "first_conv": "conv_stem",
        "classifier": "classifier",
    }
