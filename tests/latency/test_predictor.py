"""The counts of layers and units, computed by hand."""

import pytest

from nas.latency.predictor import counts, counts_of
from nas.network.blocks import Block
from nas.network.layers import Conv, Linear, Pool
from nas.network.lowering import lower_block


def _mbconv(**fields: object) -> Block:
    shape = {"in_channels": 24, "out_channels": 24, "hidden_channels": 72, "kernel": 3}
    return Block(kind="mbconv", **{**shape, "act": "relu", **fields})  # type: ignore[arg-type]


def test_counts_of_convolutions_match_hand_computation() -> None:
    expand, depthwise, project = lower_block(_mbconv(), (24, 56, 56)).layers
    pixels = 56 * 56
    assert counts(expand) == {
        "layers": 1,
        "conv_macs": pixels * 24 * 72,
        "conv_reads": pixels * 24,
        "conv_writes": pixels * 72,
        "conv_weights": 24 * 72,
        "spatial_macs": 0,
        "odd_macs": 0,
        "clipped": pixels * 72,
    }
    assert counts(depthwise) == {
        "layers": 1,
        "depthwise_macs": pixels * 72 * 9,
        "odd_depthwise_macs": 0,
        "depthwise_spill": 0,
        "depthwise_reads": pixels * 72,
        "depthwise_writes": pixels * 72,
        "depthwise_strided": 0,
        "depthwise_large": 0,
        "clipped": pixels * 72,
    }
    assert counts(project)["conv_weights"] == 72 * 24


def test_depthwise_input_beyond_the_cache_spills() -> None:
    unit = lower_block(_mbconv(hidden_channels=96, stride=2), (24, 112, 112))
    assert counts_of(unit)["depthwise_spill"] == 96 * 112 * 112 - 250_000


def test_squeeze_and_activations_are_counted() -> None:
    unit = lower_block(_mbconv(se_channels=8, act="hswish"), (24, 14, 14))
    found = counts_of(unit)
    assert found["se_elements"] == 72 * 14 * 14
    assert found["linear_weights"] == 2 * 72 * 8
    assert found["hswish"] == 2 * 72 * 14 * 14


def test_a_unit_counts_every_layer_its_pooled_shortcut_and_its_addition() -> None:
    """4 channels on 6x6 grow to 8, are filtered 5x5 with stride 2, and shrink to 4 on 3x3."""
    unit = lower_block(
        _mbconv(
            in_channels=4, out_channels=4, hidden_channels=8, kernel=5, stride=2, se_channels=2,
            skip="pool",
        ),
        (4, 6, 6),
    )  # fmt: skip
    assert counts_of(unit) == {
        "layers": 4,  # expansion, depthwise, squeeze-and-excitation, projection
        "conv_macs": 36 * 4 * 8 + 9 * 8 * 4,
        "conv_reads": 36 * 4 + 9 * 8,
        "conv_writes": 36 * 8 + 9 * 4,
        "conv_weights": 4 * 8 + 8 * 4,
        "spatial_macs": 0,
        "odd_macs": 0,
        "depthwise_macs": 9 * 8 * 25 + 9 * 4 * 9,  # 5x5 on 8 channels; the pooling, 3x3 on 4
        "odd_depthwise_macs": 0,
        "depthwise_spill": 0,
        "depthwise_reads": 36 * 8,
        "depthwise_writes": 9 * 8,
        "depthwise_strided": 9 * 8 * 25,
        "depthwise_large": 0,
        "se_elements": 9 * 8,
        "linear_weights": 8 * 2 + 2 * 8,
        "squeezes": 1,
        "clipped": 36 * 8 + 9 * 8,
        "added": 9 * 4,
    }


@pytest.mark.parametrize(
    ("skip", "stride", "added"),
    [("identity", 1, 6 * 6 * 4), ("pool", 1, 6 * 6 * 4), ("pool", 2, 3 * 3 * 4), ("none", 1, None)],
)
def test_every_shortcut_adds_what_the_unit_gives(skip: str, stride: int, added: int | None) -> None:
    block = _mbconv(in_channels=4, out_channels=4, hidden_channels=8, stride=stride, skip=skip)
    assert counts_of(lower_block(block, (4, 6, 6))).get("added") == added


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("hswish", {"hswish": 120}),
        ("hsigmoid", {"hswish": 120}),
        ("swish", {"swish": 120}),
        ("sigmoid", {"swish": 120}),
        ("relu", {"clipped": 120}),
        ("relu6", {"clipped": 120}),
        ("none", {}),
    ],
)
def test_activations_count_their_elements(act: str, expected: dict[str, int]) -> None:
    conv = Conv(name="c", in_shape=(4, 3, 5), out_shape=(8, 3, 5), act=act)  # 8 * 3 * 5 = 120
    linear = Linear(name="l", in_features=7, out_features=120, act=act)
    for layer in (conv, linear):
        found = counts(layer)
        assert {name: found[name] for name in ("hswish", "swish", "clipped") if name in found} == (
            expected
        )


@pytest.mark.parametrize(
    ("inputs", "outputs", "odd"),
    [
        (8, 8, 0),
        (6, 8, 4 * 6 * 8),  # of 2x2 pixels
        (8, 6, 4 * 8 * 6),
        (6, 6, 4 * 6 * 6),
        (1, 8, 4 * 1 * 8),
        (3, 8, 0),  # an image
        (3, 6, 4 * 3 * 6),
    ],
)
def test_channels_that_are_no_multiple_of_four_are_odd(inputs: int, outputs: int, odd: int) -> None:
    layer = Conv(name="c", in_shape=(inputs, 2, 2), out_shape=(outputs, 2, 2))
    assert counts(layer)["conv_macs"] == 4 * inputs * outputs
    assert counts(layer)["odd_macs"] == odd


@pytest.mark.parametrize(("channels", "odd"), [(8, 0), (6, 2 * 2 * 6 * 9)])
def test_depthwise_channels_that_are_no_multiple_of_four_are_odd(channels: int, odd: int) -> None:
    shape = (channels, 2, 2)
    layer = Conv(name="d", in_shape=shape, out_shape=shape, kernel=3, groups=channels)
    assert counts(layer)["odd_depthwise_macs"] == odd


def test_groups_see_their_share_of_the_inputs() -> None:
    layer = Conv(name="g", in_shape=(8, 2, 2), out_shape=(4, 2, 2), kernel=3, groups=2)
    assert counts(layer) == {
        "layers": 1,
        "conv_macs": 4 * (4 * 9) * 4,  # 4 pixels, 3x3 of 4 inputs, 4 outputs
        "conv_reads": 4 * (8 * 9),
        "conv_writes": 4 * 4,
        "conv_weights": (4 * 9) * 4,
        "spatial_macs": 4 * (4 * 9) * 4,
        "odd_macs": 0,
    }


def test_the_classifier_counts_weights_and_pooled_elements() -> None:
    assert counts(Pool(name="p", in_shape=(5, 2, 3))) == {"layers": 1, "pooled": 30}
    assert counts(Linear(name="l", in_features=5, out_features=7)) == {
        "layers": 1,
        "linear_weights": 35,
    }
