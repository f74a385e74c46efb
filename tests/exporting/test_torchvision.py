"""Networks for torchvision: rows of its constructors, names and shapes, and equal outputs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting.foreign import difference, found_networks, tensors_of

from nas.core.errors import BadValue, UnknownName
from nas.exporting.export import export
from nas.exporting.formats.torchvision import create
from nas.exporting.torchvision import torchvision_network
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.weights import random_weights
from nas.network.zoo import load_architecture

ZOO = ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v3_large_nearest",
       "mnasnet_b1", *(f"efficientnet_b{number}" for number in range(8)))  # fmt: skip
WIDTHS = ("mobilenet_v2@0.35", "mobilenet_v2@1.4", "mobilenet_v3_small@0.75", "mnasnet_b1@1.3",
          "efficientnet_b0@0.5")  # fmt: skip


def test_rows_are_those_of_torchvision() -> None:
    v2 = torchvision_network(load_architecture("mobilenet_v2"))
    assert v2.rows == [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1],
                       [6, 160, 3, 2], [6, 320, 1, 1]]  # fmt: skip
    assert (v2.arguments["width_mult"], v2.arguments["round_nearest"]) == (1.0, 8)
    small = torchvision_network(load_architecture("mobilenet_v3_small"))
    assert small.rows[0] == (16, 3, 16, 16, True, "RE", 2, 1, 1.0)
    assert small.rows[3] == (24, 5, 96, 40, True, "HS", 2, 1, 1.0)
    assert small.arguments["last_channel"] == 1024
    b0 = torchvision_network(load_architecture("efficientnet_b0"))
    assert b0.rows[:2] == [[1, 3, 1, 32, 16, 1], [6, 3, 2, 16, 24, 2]]
    assert b0.arguments["stochastic_depth_prob"] == 0.2


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_mnasnet_gets_its_width(width: float) -> None:
    network = torchvision_network(load_architecture(f"mnasnet_b1@{width}"))
    assert (network.family, network.rows) == ("mnasnet", ())
    assert network.arguments["alpha"] == width


@pytest.mark.parametrize("width", [0.35, 0.75, 1.3, 1.4])
def test_mobilenet_v2_gets_a_width_that_fits_stem_and_head(width: float) -> None:
    arguments = torchvision_network(load_architecture(f"mobilenet_v2@{width}")).arguments
    assert arguments["width_mult"] == (width if width > 0.5 else 0.5)


@pytest.mark.parametrize(("name", "tensors"), tensors_of("torchvision").items())
def test_names_and_shapes_are_those_of_torchvision(name: str, tensors: Any) -> None:
    names = torchvision_network(load_architecture(name)).names
    assert {named.name: named.shape for named in names.values()} == tensors


def test_rows_of_different_blocks_are_stages_in_the_names() -> None:
    b0 = load_architecture("efficientnet_b0")
    other = replace(b0.stages[1][1], kernel=5)
    mixed = replace(b0, stages=(b0.stages[0], (b0.stages[1][0], other), *b0.stages[2:]))
    network = torchvision_network(mixed)
    assert network.rows[1:3] == [[6, 3, 2, 16, 24, 1], [6, 5, 1, 24, 24, 1]]
    assert network.names["stages.1.1.expand.weight"].name == "features.3.0.block.0.0.weight"


def changed(name: str, stage: int, block: int, **values: Any) -> Architecture:
    arch = load_architecture(name)
    stages = [list(blocks) for blocks in arch.stages]
    stages[stage][block] = replace(stages[stage][block], **values)
    return replace(arch, stages=tuple(map(tuple, stages)))


BAD = [
    (load_architecture("proxylessnas_mobile"), r"stages\.1\.0: torchvision's mobilenet_v2 has"),
    (load_architecture("mobilenet_v1"), r"stages\.0\.0: .* has no separable blocks"),
    (load_architecture("single_path_nas"), r"stages\.2\.0: .* is MnasNet-B1 at some width"),
    (load_architecture("mnasnet_a1"), r"stem\.0: torchvision's efficientnet has swish here"),
    (load_architecture("mobilenet_v3_small@0.35"), r"head\.0: .* has 6 times the 32 channels"),
    (changed("mobilenet_v2", 1, 1, skip="none"), r"stages\.1\.1: .* has identity as the shortcut"),
    (changed("mobilenet_v2", 1, 1, act="swish"), r"stages\.1\.1: .* has relu6 in its blocks"),
    (changed("mobilenet_v3_small", 0, 0, se_channels=16), r"0\.0: .* squeezes to 8 channels"),
    (changed("efficientnet_b0", 1, 1, se_channels=0), r"1\.1: .* squeezes to 6 channels, not 0"),
    (changed("efficientnet_b0", 1, 1, gate="hsigmoid"), r"1\.1: .* squeezes with swish and"),
    (changed("efficientnet_b0", 1, 1, hidden_channels=100), r"1\.1: .* in multiples of 8, not 100"),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "message"), BAD)
def test_what_a_family_has_not_names_its_block(
    arch: Architecture, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadValue, match=message) as caught:
        export(arch, tmp_path / "x", form="torchvision")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_padding_is_symmetric_there() -> None:
    arch = replace(load_architecture("mobilenet_v2"), padding="same", norm_epsilon=1e-5)
    with pytest.raises(BadValue, match="torchvision's mobilenet_v2 has no same padding"):
        torchvision_network(arch)
    assert torchvision_network(replace(arch, padding="symmetric")).norm_epsilon == 1e-5


def test_the_family_may_be_named(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownName, match="unknown family of torchvision 'resnet'; did you mean mn"
    ):
        export(load_architecture("mobilenet_v2"), tmp_path / "x", form="torchvision:family=resnet")
    plain = changed("mobilenet_v3_small", 0, 0, se_channels=0)
    assert torchvision_network(plain, "mobilenet_v3").rows[0][4] is False


def test_the_folder_has_weights_where_some_are_given(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    arch = load_architecture("mnasnet_b1@0.5-64")
    create()(arch, tmp_path / "without")
    create()(arch, tmp_path / "with", random_weights(lower(arch)))
    files = {p.name: sorted(q.name for q in p.iterdir()) for p in tmp_path.iterdir()}
    assert files == {
        "without": ["model.py", "torchvision.json"],
        "with": ["model.py", "model.safetensors", "torchvision.json"],
    }


@pytest.mark.torch
@pytest.mark.parametrize("name", ["mobilenet_v2@0.35-64", "mnasnet_b1@0.5-64"])
def test_the_folder_is_read_back_as_weights_of_torchvision(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from nas.training.pretrained import load_weights

    arch = replace(load_architecture(name), norm_epsilon=2e-4)
    arch = replace(arch, head=(*arch.head[:-1], replace(arch.head[-1], out_channels=3)))
    weights = random_weights(lower(arch))
    data = {"mean": "[0.5, 0.4, 0.3]", "deviation": "[0.2, 0.2, 0.1]", "classes": '["a", "b", "c"]'}
    create()(arch, tmp_path / "x", weights, data)
    found = load_weights(load_architecture(name), f"torchvision:{tmp_path / 'x'}")
    assert (found.arch, found.data.classes) == (arch, ("a", "b", "c"))
    assert found.normalisation == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert all(np.array_equal(found.weights[n], value) for n, value in weights.items())


@pytest.mark.torch
@pytest.mark.parametrize("name", [*ZOO, *WIDTHS])
def test_outputs_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    assert difference(load_architecture(name), tmp_path / "x", create()) < 1e-5


@pytest.mark.torch
def test_outputs_of_found_networks_are_those_of_torchvision(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    for number, arch in enumerate(found_networks("mobilenetv3", 3)):
        assert difference(arch, tmp_path / str(number), create()) < 1e-5
