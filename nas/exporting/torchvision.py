"""A folder from which torchvision builds a network: rows for its constructors, and weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.core.data import to_json
from nas.core.errors import BadValue
from nas.core.schema import SCHEMA
from nas.exporting.detector_config import check_classifier
from nas.exporting.tensor_file import TENSORS, tensor_file
from nas.exporting.torchvision_rows import ROWS
from nas.network.blocks import Architecture
from nas.network.checkpoint import named_classes
from nas.network.lowering import lower
from nas.network.naming.tensors import Names, renamed
from nas.network.naming.torchvision import family_of, torchvision_names
from nas.network.weights import Weights, check_weights, weight_shapes

SPEC = "torchvision.json"
"""What torchvision is told, and how images become the input, in a folder of this format."""
_PROGRAM = "model.py"
_BUILD = f'''"""The network of {SPEC}, built by torchvision: from model import model."""

import json
from pathlib import Path

from safetensors.torch import load_file
from torch.nn import BatchNorm2d
from torchvision.models.MODULE import NAMES

here = Path(__file__).parent
spec = json.loads((here / "{SPEC}").read_text(encoding="utf-8"))
model = CALL.eval()
for module in model.modules():
    if isinstance(module, BatchNorm2d):
        module.eps = spec["norm_epsilon"]
'''
_LOAD = f'''state = model.state_dict()  # holds the versions of modules, which MNASNet asks for
state.update(load_file(here / "{TENSORS}"))
model.load_state_dict(state)
'''
_CALLS = {
    "mobilenet_v2": ("mobilenetv2", "MobileNetV2", "MobileNetV2(inverted_residual_setting=ROWS, "),
    "mobilenet_v3": (
        "mobilenetv3",
        "InvertedResidualConfig, MobileNetV3",
        "MobileNetV3([InvertedResidualConfig(*row) for row in ROWS], ",
    ),
    "efficientnet": (
        "efficientnet",
        "EfficientNet, MBConvConfig",
        "EfficientNet([MBConvConfig(*row) for row in ROWS], ",
    ),
    "mnasnet": ("mnasnet", "MNASNet", "MNASNet("),
}
"""The module, the names, and the beginning of the call of every family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchvisionNetwork:
    """What a constructor of torchvision is told to build a network.

    `rows` are its rows, `arguments` its other ones. `names` are those of the tensors, from ours.
    """

    family: str
    rows: Sequence[Sequence[Any]]
    arguments: Mapping[str, Any]
    norm_epsilon: float
    names: Names


def torchvision_network(arch: Architecture, family: str = "") -> TorchvisionNetwork:
    """Return what torchvision is told to build `arch`, in the family that it looks like by default.

    Raises:
        BadValue: if the family has no such block; it names the block, and says why.
        UnknownName: if there is no such family.
    """
    check_classifier(arch, "torchvision")
    family = family or family_of(arch)
    if arch.padding != "symmetric":
        raise BadValue(f"padding: torchvision's {family} has no {arch.padding} padding", "padding")
    torchvision_names(arch, family)  # refuses what has no names there
    told = ROWS[family](arch)
    names = torchvision_names(told.arch, family).values()
    classes = {"num_classes": arch.head[-1].out_channels, "dropout": arch.dropout}
    return TorchvisionNetwork(
        family=family,
        rows=told.rows,
        arguments={**classes, **told.arguments},
        norm_epsilon=arch.norm_epsilon,
        names=dict(zip(weight_shapes(lower(arch)), names, strict=True)),
    )


def torchvision_files(
    arch: Architecture,
    weights: Weights | None,
    metadata: Mapping[str, str] | None,
    *,
    family: str = "",
) -> dict[str, bytes]:
    """Return the files of a folder from which torchvision builds `arch`, with any `weights`.

    `metadata` are those of a checkpoint.

    Raises:
        NasError: if the family has no such network, or the weights do not fit.
    """
    network = torchvision_network(arch, family)
    spec = {k: v for k, v in asdict(network).items() if k != "names"}
    files = {
        SPEC: to_json({"schema": SCHEMA, **spec, **_images(arch, metadata or {})}).encode(),
        _PROGRAM: _program(network.family, loads=weights is not None).encode(),
    }
    if weights is not None:
        check_weights(lower(arch), weights)
        files[TENSORS] = tensor_file(renamed(weights, network.names))
    return files


def _images(arch: Architecture, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the size of images, and their normalisation and classes as far as they are known."""
    names = {"mean": "mean", "deviation": "std"}
    known = {theirs: json.loads(metadata[n]) for n, theirs in names.items() if n in metadata}
    if classes := named_classes(metadata):
        known["label_names"] = classes
    return {"input_size": [arch.input_channels, arch.resolution, arch.resolution], **known}


def _program(family: str, *, loads: bool) -> str:
    module, names, call = _CALLS[family]
    call = call.replace("ROWS", 'spec["rows"]') + '**spec["arguments"])'
    program = _BUILD.replace("MODULE", module).replace("NAMES", names).replace("CALL", call)
    if loads:
        return program + _LOAD
    return program.replace("from safetensors.torch import load_file\n", "")
