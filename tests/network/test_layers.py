"""Lowering: the layers of a block, and their shapes."""

from dataclasses import replace
from typing import Any

import pytest

from nas.core.data import bundled
from nas.core.errors import BadValue, NasError, UnknownName
from nas.network.blocks import Architecture, Block
from nas.network.layers import Conv, Squeeze
from nas.network.lowering import kinds_of_blocks, lower, lower_block
from nas.network.zoo import load_architecture


def mbconv(**changes: Any) -> Block:
    fields = {"kind": "mbconv", "in_channels": 16, "out_channels": 16, "hidden_channels": 64}
    return Block(**{**fields, "kernel": 3, **changes})


def names(block: Block) -> list[str]:
    return [layer.name for layer in lower_block(block, (block.in_channels, 8, 8)).layers]


def test_mbconv_expands_convolves_squeezes_and_projects() -> None:
    block = mbconv(out_channels=24, kernel=5, stride=2, se_channels=4, act="swish")
    unit = lower_block(block, (16, 15, 15))
    expand, depthwise, squeeze, project = unit.layers
    assert [layer.name for layer in unit.layers] == ["expand", "depthwise", "squeeze", "project"]
    assert expand == Conv(name="expand", in_shape=(16, 15, 15), out_shape=(64, 15, 15), act="swish")
    assert depthwise == Conv(name="depthwise", in_shape=(64, 15, 15), out_shape=(64, 8, 8),
                             kernel=5, stride=2, groups=64, act="swish")  # fmt: skip
    assert squeeze == Squeeze(
        name="squeeze", shape=(64, 8, 8), channels=4, act="relu", gate="sigmoid"
    )
    assert project == Conv(name="project", in_shape=(64, 8, 8), out_shape=(24, 8, 8), act="none")
    assert unit.out_shape == (24, 8, 8)


def test_expansion_of_one_has_no_expansion_layer() -> None:
    assert names(mbconv(hidden_channels=16)) == ["depthwise", "project"]


def test_separable_activates_both_parts() -> None:
    block = Block(kind="separable", in_channels=8, out_channels=16, kernel=3, act="relu")
    assert names(block) == ["depthwise", "pointwise"]
    layers = lower_block(block, (8, 4, 4)).layers
    assert [layer.act for layer in layers if isinstance(layer, Conv)] == ["relu", "relu"]


def test_squeeze_stands_where_the_originals_have_it() -> None:
    assert names(mbconv(se_channels=4)) == ["expand", "depthwise", "squeeze", "project"]
    conv = Block(kind="conv", in_channels=8, out_channels=8, se_channels=2)
    assert names(conv) == ["conv", "squeeze"]
    assert names(replace(conv, kind="separable")) == ["depthwise", "squeeze", "pointwise"]


@pytest.mark.parametrize(
    ("changes", "shortcut"),
    [
        ({}, "identity"),
        ({"stride": 2}, "none"),
        ({"out_channels": 24}, "none"),
        ({"skip": "none"}, "none"),
        ({"skip": "pool"}, "pool"),
        ({"skip": "pool", "stride": 2}, "pool"),
        ({"skip": "pool", "out_channels": 24}, "none"),
        ({"kind": "separable"}, "none"),
        ({"kind": "conv"}, "none"),
    ],
)
def test_shortcut_joins_equal_shapes_only(changes: dict[str, Any], shortcut: str) -> None:
    assert lower_block(mbconv(**changes), (16, 8, 8)).shortcut == shortcut


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_output_is_input_over_stride_rounded_up(size: int, stride: int) -> None:
    unit = lower_block(mbconv(kernel=7, stride=stride), (16, size, size))
    assert unit.out_shape[1:] == ((size + stride - 1) // stride,) * 2


@pytest.mark.parametrize("name", bundled("architectures"))
def test_shapes_join_from_unit_to_unit(name: str) -> None:
    arch = load_architecture(name)
    units = lower(arch)
    shapes = [unit.in_shape for unit in units] + [units[-1].out_shape]
    assert shapes[0] == (3, arch.resolution, arch.resolution)
    assert [unit.out_shape for unit in units] == shapes[1:]
    assert shapes[-1] == (1000, 1, 1)
    assert [unit.name for unit in units] == [place for place, _ in arch.named_blocks()]


def test_every_stage_of_b0_has_its_published_size() -> None:
    sizes = {unit.name: unit.out_shape for unit in lower(load_architecture("efficientnet_b0"))}
    assert [sizes[f"stages.{i}.0"] for i in range(7)] == [
        (16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14), (112, 14, 14), (192, 7, 7),
        (320, 7, 7),
    ]  # fmt: skip


def test_equal_work_has_one_key_and_other_work_another() -> None:
    shape = (16, 8, 8)
    unit = lower_block(mbconv(), shape, name="a")
    assert lower_block(mbconv(), shape, name="b").key == unit.key
    assert lower_block(mbconv(), shape, name="b") == unit
    changes: list[dict[str, Any]] = [
        {"hidden_channels": 48}, {"kernel": 5}, {"stride": 2}, {"se_channels": 4}, {"act": "relu"},
        {"skip": "none"}, {"skip": "pool"}, {"out_channels": 24}, {"kind": "conv"},
        {"se_channels": 4, "gate": "hsigmoid"}, {"se_channels": 4, "se_act": "swish"},
    ]  # fmt: skip
    keys = {unit.key, *(lower_block(mbconv(**change), shape).key for change in changes)}
    assert len(keys) == len(changes) + 1


def test_unknown_kind_names_the_closest() -> None:
    with pytest.raises(UnknownName, match="unknown block kind 'mbcnov'; did you mean mbconv"):
        lower_block(mbconv(kind="mbcnov"), (16, 8, 8))


@pytest.mark.parametrize(
    ("block", "shape", "message"),
    [
        (mbconv(hidden_channels=0), (16, 8, 8), "needs hidden_channels"),
        (mbconv(), (8, 8, 8), "declares 16 -> 16 channels, but maps 8"),
        (
            Block(kind="pool", in_channels=16, out_channels=8),
            (16, 8, 8),
            "declares 16 -> 8 channels",
        ),
        (Block(kind="linear", in_channels=16, out_channels=8), (16, 8, 8), "after a pool block"),
    ],
)
def test_block_that_does_not_fit_is_refused(
    block: Block, shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(NasError, match=message):
        lower_block(block, shape)


def test_lowering_says_which_block_does_not_fit() -> None:
    bad = Block(kind="pool", in_channels=16, out_channels=8)
    arch = Architecture(resolution=8, stem=(), stages=((mbconv(), bad),), head=(),
                        input_channels=16)  # fmt: skip
    with pytest.raises(BadValue, match=r"^stages\.0\.1: ") as caught:
        lower(arch)
    assert caught.value.path == ("stages", 0, 1)


def test_kinds_are_those_of_the_papers() -> None:
    assert set(kinds_of_blocks()) >= {"conv", "separable", "mbconv", "pool", "linear"}
