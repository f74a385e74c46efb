"""Scaling: compound scaling gives the published family; rounding and ratios hold."""

from dataclasses import replace

import pytest

from nas.core.data import bundled
from nas.core.errors import BadValue
from nas.network.blocks import Architecture, Block
from nas.network.cost import cost
from nas.network.lowering import lower
from nas.network.multipliers import (
    Multipliers,
    round_channels,
    scale,
    scale_depth,
    scale_resolution,
    scale_width,
)
from nas.network.zoo import load_architecture

# Width, depth, resolution and dropout of EfficientNet-B1 to B7.
FAMILY = {
    1: (1.0, 1.1, 240, 0.2), 2: (1.1, 1.2, 260, 0.3), 3: (1.2, 1.4, 300, 0.3),
    4: (1.4, 1.8, 380, 0.4), 5: (1.6, 2.2, 456, 0.4), 6: (1.8, 2.6, 528, 0.5),
    7: (2.0, 3.1, 600, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("number", FAMILY)
def test_scaling_b0_gives_the_whole_family(number: int) -> None:
    width, depth, resolution, dropout = FAMILY[number]
    b0 = load_architecture("efficientnet_b0")
    published = load_architecture(f"efficientnet_b{number}")
    wider_first = scale_depth(scale_width(b0, width), depth)
    deeper_first = scale_width(scale_depth(b0, depth), width)
    for scaled in (wider_first, deeper_first):
        assert replace(scale_resolution(scaled, resolution), dropout=dropout) == published


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(0.1, 8), (8, 8), (11.9, 16), (12, 16), (20, 24), (17.6, 16), (1280 * 1.1, 1408), (11.2, 16)],
)
def test_channels_round_to_eights_and_lose_a_tenth_at_most(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_rounding_never_falls_below_nine_tenths() -> None:
    for tenths in range(80, 4000):
        rounded = round_channels(tenths / 10)
        assert rounded % 8 == 0
        assert rounded >= 0.9 * tenths / 10


def test_depth_repeats_the_last_block_and_leaves_others_out() -> None:
    b0 = load_architecture("efficientnet_b0")
    assert [len(s) for s in scale_depth(b0, 2).stages] == [2, 4, 4, 6, 6, 8, 2]
    assert [len(s) for s in scale_depth(b0, 0.5).stages] == [1, 1, 1, 2, 2, 2, 1]
    assert {b.stride for s in scale_depth(b0, 3).stages for b in s[1:]} == {1}


def test_depth_of_an_empty_stage_stays_empty() -> None:
    stem = (Block(kind="conv", in_channels=3, out_channels=8),)
    arch = Architecture(resolution=8, stem=stem, stages=((),), head=())
    assert scale_depth(arch, 2) == arch


def test_residual_blocks_of_a_longer_stage_join() -> None:
    longer = scale_depth(load_architecture("mnasnet_b1"), 2)
    joins = [u.shortcut for u in lower(longer) if u.name.startswith("stages.6.")]
    assert joins == ["none", "identity"]


def test_width_keeps_expansion_ratios() -> None:
    half = scale_width(load_architecture("mobilenet_v2"), 0.5)
    ratios = {b.hidden_channels / b.in_channels for stage in half.stages for b in stage}
    assert ratios == {1.0, 6.0}


def test_last_features_do_not_shrink() -> None:
    half = scale_width(load_architecture("mobilenet_v2"), 0.5)
    assert [b.out_channels for b in half.head] == [1280, 1280, 1000]
    wide = scale_width(load_architecture("mobilenet_v2"), 1.4)
    assert [b.out_channels for b in wide.head] == [1792, 1792, 1000]


def test_fixed_features_neither_shrink_nor_grow() -> None:
    a1 = load_architecture("mnasnet_a1")
    for factor in (0.35, 1.0, 1.4):
        scaled = scale(a1, Multipliers(width=factor), multiple=3)
        assert [b.out_channels for b in scaled.head] == [1280, 1280, 1000]
        assert scaled.fixed_features
    growing = scale_width(replace(a1, fixed_features=False), 1.4)
    assert growing.head[0].out_channels == 1792


def test_features_between_pool_and_classes_stay_while_the_ones_before_shrink() -> None:
    small = scale_width(load_architecture("mobilenet_v3_large"), 0.75)
    assert [b.out_channels for b in small.head] == [720, 720, 1280, 1000]


def test_input_channels_and_classes_never_change() -> None:
    stem = Block(kind="conv", in_channels=1, out_channels=8)
    head = (Block(kind="pool", in_channels=8, out_channels=8),
            Block(kind="linear", in_channels=8, out_channels=10, act="none"))  # fmt: skip
    arch = Architecture(resolution=8, stem=(stem,), stages=(), head=head, input_channels=1)
    wide = scale_width(arch, 3)
    assert [b.out_channels for _, b in wide.named_blocks()] == [24, 24, 10]
    assert (wide.input_channels, wide.stem[0].in_channels) == (1, 1)


@pytest.mark.parametrize("name", bundled("architectures"))
def test_every_scaled_network_lowers_and_grows(name: str) -> None:
    arch = load_architecture(name)
    params = []
    for factor in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        params.append(cost(scale_depth(scale_width(arch, factor), factor)).params)
    assert params == sorted(params)
    assert len(set(params)) == len(params)


def test_scaling_does_all_three_at_once() -> None:
    b0 = load_architecture("efficientnet_b0")
    scaled = scale(b0, Multipliers(width=1.2, depth=1.4, resolution=300 / 224))
    assert replace(scaled, dropout=0.3) == load_architecture("efficientnet_b3")
    assert scale(b0, Multipliers()) == b0


def test_mobilenets_multipliers_give_the_published_costs() -> None:
    # Howard et al., 2017, tables 6 and 7: 0.75 at 224 px, and 1.0 at 160 px, in millions
    v1 = load_architecture("mobilenet_v1")
    narrow, small = scale(v1, Multipliers(width=0.75)), scale(v1, Multipliers(resolution=160 / 224))
    assert cost(narrow).macs / 1e6 == pytest.approx(325, abs=1)
    assert cost(narrow).params / 1e6 == pytest.approx(2.6, abs=0.05)
    assert cost(small).macs / 1e6 == pytest.approx(290, abs=1)


@pytest.mark.parametrize("multiple", [1, 2, 4, 16])
def test_channels_are_multiples_of_what_is_asked_for(multiple: int) -> None:
    wide = scale(load_architecture("mobilenet_v2"), Multipliers(width=1.3), multiple=multiple)
    widths = [b.out_channels for _, b in wide.named_blocks()[:-1]]
    assert not any(width % multiple for width in widths)
    assert multiple == 16 or any(width % (2 * multiple) for width in widths)


def test_what_leaves_no_channels_or_pixels_is_refused() -> None:
    b0 = load_architecture("efficientnet_b0")
    with pytest.raises(BadValue, match=r"none of the 16 channels of stages.0.0; take 0.0625"):
        scale(b0, Multipliers(width=0.05))
    assert scale(b0, Multipliers(resolution=8 / 224)).resolution == 8
    with pytest.raises(BadValue, match="leaves 7 pixels; at least 8 are needed"):
        scale(b0, Multipliers(resolution=0.03))
    with pytest.raises(BadValue, match="multiples of 1 or more, not 0"):
        scale(b0, Multipliers(width=2), multiple=0)


def test_the_narrowest_block_of_the_body_says_how_narrow_a_network_may_be() -> None:
    stem = Block(kind="conv", in_channels=3, out_channels=6)
    body = Block(kind="conv", in_channels=6, out_channels=12)
    head = Block(kind="conv", in_channels=12, out_channels=2)
    arch = Architecture(resolution=16, stem=(stem,), stages=((body,),), head=(head,))
    with pytest.raises(BadValue, match=r"none of the 6 channels of stem.0; take 0.1667"):
        scale(arch, Multipliers(width=0.16))
    assert scale(arch, Multipliers(width=0.17), multiple=1).stem[0].out_channels == 1
    alone = Architecture(resolution=16, stem=(), stages=(), head=(replace(head, in_channels=3),))
    assert scale(alone, Multipliers(width=0.16)) == alone


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan"), float("inf")])
def test_multipliers_are_finite_and_above_0(value: float) -> None:
    with pytest.raises(BadValue, match=r"depth must be a finite number above 0"):
        Multipliers(depth=value)
