"""Features: equal from blocks and from picks, and known values of published networks."""

from dataclasses import replace

import numpy as np
import pytest

from nas.accuracy.features import NAMES, features
from nas.accuracy.picks import PicksFeatures
from nas.network.blocks import Architecture, Block
from nas.network.zoo import load_architecture
from nas.space.file import load_space
from nas.space.space import Space

SPACES = ("mbconv", "mnasnet_b0", "mobilenetv3", "mnasnet")


def _of(arch: Architecture) -> dict[str, float]:
    return dict(zip(NAMES, features(arch)[0].tolist(), strict=True))


@pytest.mark.parametrize("name", SPACES)
def test_picks_have_the_features_of_their_networks(name: str) -> None:
    space = load_space(name)
    rows = space.sample_matrix(np.random.default_rng(1), 40)
    expected = features([space.decode_row(row) for row in rows])
    assert PicksFeatures(space)(rows) == pytest.approx(expected, abs=1e-12)


def test_every_network_of_a_small_space_has_the_features_of_its_picks(
    tiny: Space, all_rows: np.ndarray
) -> None:
    expected = features([tiny.decode_row(row) for row in all_rows])
    assert PicksFeatures(tiny)(all_rows) == pytest.approx(expected, abs=1e-12)


def test_no_rows_and_no_networks_have_no_features() -> None:
    space = load_space("mbconv")
    assert PicksFeatures(space)(space.sample_matrix(np.random.default_rng(0), 0)).shape[0] == 0
    assert features([]).shape == (0, len(NAMES))


def test_features_of_efficientnet_b0_are_what_its_table_says() -> None:
    b0 = _of(load_architecture("efficientnet_b0"))
    assert np.exp(b0["g_depth"]) == pytest.approx(16)
    assert np.exp(b0["w_stem"]) == pytest.approx(32)
    assert np.exp(b0["h_features"]) == pytest.approx(1280)
    assert np.exp(b0["r_side"]) == pytest.approx(224)
    assert (b0["s_share"], b0["a_share"]) == (1, 1)
    # 390 million multiply-adds, of which the classifier and SE do not count here
    assert np.exp(b0["g_macs"]) == pytest.approx(384e6, rel=0.02)
    # layers at strides 2, 4, 8, 16, 32: 1, 2, 2, 3 + 3, 4 + 1
    depths = [np.expm1(b0[f"n_{stride}"]) for stride in (2, 4, 8, 16, 32)]
    assert depths == pytest.approx([1, 2, 2, 6, 5])
    assert b0["k_4"] == 0  # 3x3
    assert b0["k_8"] == pytest.approx(1)  # 5x5


def test_what_a_network_lacks_is_zero_and_its_width_is_carried_over() -> None:
    v3 = _of(load_architecture("mobilenet_v3_small"))
    assert v3["n_2"] == v3["k_2"] == v3["s_2"] == v3["a_2"] == 0
    assert v3["w_2"] == v3["w_stem"] == pytest.approx(np.log(16))


def test_a_stem_block_counts_like_one_of_the_stages() -> None:
    v3 = load_architecture("mobilenet_v3_large")
    moved = replace(v3, stem=v3.stem[:1], stages=(v3.stem[1:], *v3.stages))
    assert np.array_equal(features(v3), features(moved))


def test_the_same_block_with_se_and_swish_differs_in_these_alone() -> None:
    conv = Block(kind="conv", in_channels=3, out_channels=16, kernel=3, stride=2)
    block = Block(kind="mbconv", in_channels=16, out_channels=16, hidden_channels=64, kernel=3)
    head = (
        Block(kind="pool", in_channels=16, out_channels=16),
        Block(kind="linear", in_channels=16, out_channels=10, act="none"),
    )
    plain = Architecture(resolution=64, stem=(conv,), stages=((block,),), head=head)
    other = replace(plain, stages=((replace(block, se_channels=16, act="swish"),),))
    before, after = _of(plain), _of(other)
    changed = {name for name in NAMES if before[name] != after[name]}
    assert changed == {"g_params", "g_small", "s_share", "s_width", "s_2", "a_share", "a_2"}
    assert after["s_width"] == pytest.approx(1)  # a quarter of the hidden channels
