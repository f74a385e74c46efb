"""The configuration of a network in the shape that timm writes beside weights, config.json."""

import json
from collections.abc import Mapping
from typing import Any

from nas.core.text import file_name
from nas.network.blocks import Architecture
from nas.network.layers import Pool, lower
from nas.network.zoo import load_architecture

CONFIG = "config.json"
_IN_TIMM = {
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mnasnet_a1": "semnasnet_100",
    "mnasnet_b1": "mnasnet_100",
    "single_path_nas": "spnasnet_100",
    **{f"efficientnet_b{number}": f"efficientnet_b{number}" for number in range(8)},
}
"""Bundled networks, and what timm calls them."""


def known_name(arch: Architecture) -> str:
    """Return what timm calls `arch` if it is one of its networks, whatever classes and input."""
    for name, theirs in _IN_TIMM.items():
        base = load_architecture(name)
        head = (*arch.head[:-1], base.head[-1])
        if (arch.stem, arch.stages, head) == (base.stem, base.stages, base.head):
            return theirs
    return ""


def timm_config(arch: Architecture, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of config.json; `metadata` are those of a checkpoint.

    The architecture is timm's name of the network if it is one of timm's, else its own.
    """
    labels = {"label_names": json.loads(metadata["classes"])} if "classes" in metadata else {}
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
