"""A folder that huggingface_hub uploads as it is: weights, graphs, config.json and a model card.

The weights have timm's names where timm can build the network; `timm.create_model` loads the folder
by itself where the network is one that it knows.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from nas.core.data import to_json, to_yaml
from nas.core.errors import BadValue, NasError
from nas.core.text import file_name, shown
from nas.exporting.card import LATENCY, ORIGIN, Card, model_card
from nas.exporting.onnx import to_onnx
from nas.exporting.tensor_file import TENSORS, tensor_file
from nas.exporting.tflite import to_tflite
from nas.exporting.timm import LIBRARY, timm_files
from nas.network.blocks import Architecture, to_mapping
from nas.network.layers import Pool, lower
from nas.network.weights import Weights, check_weights
from nas.network.zoo import load_architecture

_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,80}")
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
_WHAT = {
    TENSORS: "the weights, under the names of timm",
    "model.py": "builds the network with timm: `from model import model`",
    "timm.json": "what it tells timm: strings of blocks and keyword arguments",
    "model.onnx": "the network for onnxruntime",
    "model.tflite": "the network for LiteRT",
    "arch.yaml": "the architecture, block by block",
    "config.json": "the classes and how images become the input, as timm has them",
}


def hub_files(
    arch: Architecture,
    weights: Weights | None,
    metadata: Mapping[str, str] | None,
    *,
    licence: str = "",
) -> dict[str, bytes]:
    """Return the files of the folder of `arch`; without `weights` there are no graphs in it.

    Raises:
        NasError: if the weights do not fit, or the licence is no identifier.
    """
    if licence and not _LICENCE.fullmatch(licence):
        wanted = "an identifier of a licence, as apache-2.0"
        raise NasError(f"licence must be {wanted}, not {shown(licence)}")
    facts = metadata or {}
    files = _weights(arch, weights)
    known = _known_name(arch)
    if weights is not None:
        given = {name: value for name, value in facts.items() if name not in (LATENCY, ORIGIN)}
        graph = to_onnx(arch, weights, batch=None, metadata=given)
        files["model.onnx"] = bytes(graph.SerializeToString())
        files["model.tflite"] = to_tflite(arch, weights, metadata=given)
    files["arch.yaml"] = to_yaml(to_mapping(arch)).encode()
    files["config.json"] = to_json(_config(arch, facts, licence, known)).encode()
    what = {name: _WHAT[name] for name in files}
    if TENSORS in files and "timm.json" not in files:
        what[TENSORS] = "the weights, under this project's names"
    card = Card(files=what, licence=licence, library=LIBRARY if known else "")
    return {**files, "README.md": model_card(arch, facts, card).encode()}


def _weights(arch: Architecture, weights: Weights | None) -> dict[str, bytes]:
    """Return the files of the weights, and for timm where it can build the network."""
    try:
        return timm_files(arch, weights)
    except BadValue:
        if weights is None:
            return {}
        check_weights(lower(arch), weights)
        return {TENSORS: tensor_file(weights)}


def _known_name(arch: Architecture) -> str:
    """Return what timm calls `arch` if it is one of its networks, whatever classes and input."""
    for name, theirs in _IN_TIMM.items():
        base = load_architecture(name)
        head = (*arch.head[:-1], base.head[-1])
        if (arch.stem, arch.stages, head) == (base.stem, base.stages, base.head):
            return theirs
    return ""


def _config(
    arch: Architecture, facts: Mapping[str, str], licence: str, known: str
) -> dict[str, Any]:
    """Return the content of config.json in timm's shape; `known` is timm's name of the network."""
    classes = arch.head[-1].out_channels if arch.head else 0
    labels = {"label_names": json.loads(facts["classes"])} if "classes" in facts else {}
    return {
        "architecture": known or file_name(arch.name, default=arch.fingerprint),
        "num_classes": classes,
        "num_features": arch.head[-1].in_channels if arch.head else 0,
        "global_pool": "avg",
        **labels,
        "model_args": _arguments(arch),
        "pretrained_cfg": _pretrained(arch, facts, licence),
    }


def _arguments(arch: Architecture) -> dict[str, Any]:
    """Return the keyword arguments of a network of timm by which it computes the same."""
    padding = {"pad_type": arch.padding} if arch.padding != "symmetric" else {}
    images = {"in_chans": arch.input_channels} if arch.input_channels != 3 else {}
    return {"bn_eps": arch.norm_epsilon, **padding, **images}


def _pretrained(arch: Architecture, facts: Mapping[str, str], licence: str) -> dict[str, Any]:
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
        **({"license": licence} if licence else {}),
    }
