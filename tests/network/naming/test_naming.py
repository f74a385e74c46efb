"""Names in other libraries: known ones, shapes, and weights there and back."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from nas.core.data import bundled
from nas.core.errors import BadValue, UnknownName
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.naming.tensors import Names, renamed, restored
from nas.network.naming.timm import timm_names
from nas.network.naming.torchvision import FAMILIES, torchvision_names
from nas.network.weights import random_weights, weight_shapes
from nas.network.zoo import load_architecture

IN_TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_large": "mobilenet_v3",
    "mobilenet_v3_small": "mobilenet_v3",
    "mnasnet_b1": "mnasnet",
    "efficientnet_b0": "efficientnet",
    "efficientnet_b4": "efficientnet",
}


@pytest.mark.parametrize(
    ("arch", "ours", "theirs"),
    [
        ("efficientnet_b0", "stem.0.conv.norm.bias", "bn1.bias"),
        ("efficientnet_b0", "stages.0.0.project.weight", "blocks.0.0.conv_pw.weight"),
        ("efficientnet_b0", "stages.0.0.squeeze.reduce.bias", "blocks.0.0.se.conv_reduce.bias"),
        ("efficientnet_b0", "stages.1.1.project.norm.running_var", "blocks.1.1.bn3.running_var"),
        ("efficientnet_b0", "head.0.conv.weight", "conv_head.weight"),
        ("mobilenet_v1", "stages.2.1.pointwise.norm.weight", "blocks.2.1.bn2.weight"),
        ("mobilenet_v1", "head.1.linear.weight", "classifier.weight"),
        ("mobilenet_v3_small", "head.0.conv.norm.weight", "blocks.5.0.bn1.weight"),
        ("mobilenet_v3_small", "head.2.linear.weight", "conv_head.weight"),
    ],
)
def test_known_names_of_timm(arch: str, ours: str, theirs: str) -> None:
    assert timm_names(load_architecture(arch))[ours].name == theirs


@pytest.mark.parametrize(
    ("arch", "ours", "theirs"),
    [
        ("mobilenet_v2", "stages.0.0.depthwise.weight", "features.1.conv.0.0.weight"),
        ("mobilenet_v2", "stages.0.0.project.norm.bias", "features.1.conv.2.bias"),
        ("mobilenet_v2", "stages.1.0.project.weight", "features.2.conv.2.weight"),
        ("mobilenet_v2", "head.0.conv.norm.weight", "features.18.1.weight"),
        ("mobilenet_v3_large", "stages.1.0.squeeze.expand.bias", "features.4.block.2.fc2.bias"),
        ("mobilenet_v3_large", "head.3.linear.weight", "classifier.3.weight"),
        ("mnasnet_b1", "stages.0.0.project.norm.weight", "layers.7.weight"),
        ("mnasnet_b1", "stages.1.2.depthwise.weight", "layers.8.2.layers.3.weight"),
        ("mnasnet_b1", "head.0.conv.norm.weight", "layers.15.weight"),
        ("efficientnet_b0", "stages.0.0.project.weight", "features.1.0.block.2.0.weight"),
        ("efficientnet_b0", "head.2.linear.weight", "classifier.1.weight"),
    ],
)
def test_known_names_of_torchvision(arch: str, ours: str, theirs: str) -> None:
    assert torchvision_names(load_architecture(arch))[ours].name == theirs


def _digests() -> list[tuple[str, ...]]:
    lines = (Path(__file__).parents[2] / "data/naming/digests.txt").read_text().splitlines()
    return [tuple(line.split()) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("library", "name", "model", "count", "digest"), _digests())
def test_all_names_shapes_and_their_order_are_those_there(
    library: str, name: str, model: str, count: str, digest: str
) -> None:
    names_of = timm_names if library == "timm" else torchvision_names
    found = names_of(load_architecture(name)).values()
    lines = [f"{named.name} {'x'.join(map(str, named.shape))}" for named in found]
    assert len(lines) == int(count)
    assert sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


def test_head_behind_the_pooling_is_a_convolution_in_timm_alone() -> None:
    arch = load_architecture("mobilenet_v3_large")
    assert timm_names(arch)["head.2.linear.weight"].shape == (1280, 960, 1, 1)
    assert torchvision_names(arch)["head.2.linear.weight"].shape == (1280, 960)


@pytest.mark.parametrize("name", bundled("architectures"))
def test_every_tensor_has_its_own_name_in_timm(name: str) -> None:
    _check_complete(load_architecture(name), timm_names)


@pytest.mark.parametrize("name", IN_TORCHVISION)
def test_every_tensor_has_its_own_name_in_torchvision(name: str) -> None:
    arch = load_architecture(name)
    _check_complete(arch, torchvision_names)
    assert torchvision_names(arch) == torchvision_names(arch, IN_TORCHVISION[name])


def _check_complete(arch: Architecture, names_of: Callable[[Architecture], Names]) -> None:
    names = names_of(arch)
    shapes = weight_shapes(lower(arch))
    assert list(names) == list(shapes)
    assert len({named.name for named in names.values()}) == len(names)
    assert all(np.prod(names[ours].shape) == np.prod(shapes[ours]) for ours in names)


def test_weights_come_back_as_they_were() -> None:
    units = lower(load_architecture("mobilenet_v3_small"))
    weights = random_weights(units)
    names = timm_names(load_architecture("mobilenet_v3_small"))
    there = renamed(weights, names)
    assert there["conv_head.weight"].shape == (1024, 576, 1, 1)
    back = restored(there, names, units)
    assert list(back) == list(weights)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)


def test_blocks_without_a_place_are_named() -> None:
    v1, b0 = load_architecture("mobilenet_v1"), load_architecture("efficientnet_b0")
    with pytest.raises(BadValue, match=r"^stages.0.0: torchvision's mobilenet_v2 has no separable"):
        torchvision_names(v1)
    with pytest.raises(BadValue, match=r"^stages.0.0: torchvision's mnasnet has no squeeze"):
        torchvision_names(b0, "mnasnet")
    with pytest.raises(BadValue, match=r"^head: torchvision's mobilenet_v3 ends in"):
        torchvision_names(b0, "mobilenet_v3")
    with pytest.raises(BadValue, match=r"^head: a network of timm ends in"):
        timm_names(replace(b0, head=b0.head[:-1]))
    with pytest.raises(UnknownName, match="mobilenet_v3"):
        torchvision_names(b0, "mobilenet_v4")
    assert "efficientnet" in FAMILIES
