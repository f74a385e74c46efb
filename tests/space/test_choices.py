"""Choices of the whole network: multiplier, heads, activations, dropped stages, two expansions."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from nas.core import strict_yaml
from nas.core.errors import BadFile, NasError, NotInSpace
from nas.latency.file import load_table
from nas.network.cost import cost, cost_of
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.zoo import load_architecture
from nas.space import lookup
from nas.space.file import load_space, space_from_mapping
from nas.space.lookup import Lookup, distinct_units
from nas.space.space import Space

SMALL = """
schema: 1
name: small
resolution: [32, 48]
multiplier: [0.5, 1]
act: [relu, swish]
se:
  input: {ratio: 0.5, of: input, act: same}
  hidden: {ratio: 0.25, of: hidden, divisor: 8, act: relu, gate: hsigmoid}
stem:
- {kind: conv, width: [8, 16], kernel: 3, stride: 2}
defaults: {kernel: 3}
stages:
- {width: 16, expansion: 1, layers: [0, 1], se: [false, input]}
- width: 24
  stride: 2
  expansion: 2
  expansion_rest: [1, 2.5]
  layers: [1, 2]
  se: [input, hidden]
- {width: [32, 40], layers: [0, 2], act: [relu, hswish], expansion: 3}
head:
  wide: [{kind: conv, width: 64}, {kind: pool}, {kind: linear, width: 10, act: none}]
  late: [{kind: conv, width_ratio: 1.5}, {kind: pool}, {kind: linear, width: 10, act: none}]
"""

V3_LARGE = {
    "resolution": 224, "multiplier": 1.0, "act": "hswish", "head": "late1280", "stem1_width": 16,
    "stage1_width": 16, "stage2_width": 24, "stage3_width": 40, "stage4_width": 80,
    "stage5_width": 112, "stage6_width": 160,
    "stage1_layers": 1, "stage2_layers": 2, "stage3_layers": 3, "stage4_layers": 4,
    "stage5_layers": 2, "stage6_layers": 3, "stage7_layers": 0,
    "stage2_kernel": 3, "stage3_kernel": 5, "stage4_kernel": 3, "stage5_kernel": 3,
    "stage6_kernel": 5,
    "stage2_expansion": 4, "stage3_expansion": 3, "stage4_expansion": 6, "stage5_expansion": 6,
    "stage6_expansion": 6,
    "stage2_expansion_rest": 3, "stage3_expansion_rest": 3, "stage4_expansion_rest": 2.5,
    "stage5_expansion_rest": 6, "stage6_expansion_rest": 6,
    "stage1_se": False, "stage2_se": False, "stage3_se": "hidden", "stage4_se": False,
    "stage5_se": "hidden", "stage6_se": "hidden",
    "stage1_act": "relu", "stage2_act": "relu", "stage3_act": "relu", "stage4_act": "hswish",
    "stage5_act": "hswish", "stage6_act": "hswish",
}  # fmt: skip
V3_SMALL = {
    "resolution": 224, "multiplier": 1.0, "act": "hswish", "head": "late1024", "stem1_width": 16,
    "stage2_width": 16, "stage3_width": 24, "stage4_width": 40, "stage5_width": 48,
    "stage6_width": 96,
    "stage1_layers": 0, "stage2_layers": 1, "stage3_layers": 2, "stage4_layers": 3,
    "stage5_layers": 2, "stage6_layers": 3, "stage7_layers": 0,
    "stage2_kernel": 3, "stage3_kernel": 3, "stage4_kernel": 5, "stage5_kernel": 5,
    "stage6_kernel": 5,
    "stage2_expansion": 1, "stage3_expansion": 4, "stage4_expansion": 4, "stage5_expansion": 3,
    "stage6_expansion": 6,
    "stage3_expansion_rest": 4, "stage4_expansion_rest": 6, "stage5_expansion_rest": 3,
    "stage6_expansion_rest": 6,
    "stage2_se": "hidden", "stage3_se": False, "stage4_se": "hidden", "stage5_se": "hidden",
    "stage6_se": "hidden",
    "stage2_act": "relu", "stage3_act": "relu", "stage4_act": "hswish", "stage5_act": "hswish",
    "stage6_act": "hswish",
}  # fmt: skip


def macs_and_params(units: Unit) -> tuple[int, int]:
    found = cost_of(units)
    return found.macs, found.params


@pytest.fixture(scope="module")
def small() -> Space:
    return space_from_mapping(strict_yaml.parse(SMALL))


@pytest.fixture(scope="module")
def rows(small: Space) -> np.ndarray:
    """Every row, canonical."""
    found = np.array(list(product(*(range(n) for n in small.widths))), dtype=np.uint8)
    return np.unique(small.canonical(found), axis=0)


@pytest.mark.parametrize("name", ["efficientnet_b0", "mnasnet_a1", "mnasnet_b1", "mobilenet_v2"])
def test_published_networks_are_points_of_mobile(name: str) -> None:
    space, arch = load_space("mbconv"), load_architecture(name)
    found = space.decode(space.encode(arch))
    assert found == replace(arch, drop_connect=found.drop_connect)
    assert cost(found) == cost(arch)
    assert np.array_equal(space.pack(space.encode(found)), space.pack(space.encode(arch)))


@pytest.mark.parametrize(
    ("picks", "multiplier", "published_ms"),
    [(V3_LARGE, 1.0, 51.9), (V3_LARGE, 0.75, 39.9), (V3_SMALL, 1.0, 16.5), (V3_SMALL, 0.75, 13.5)],
    ids=["large", "large 0.75", "small", "small 0.75"],
)
def test_mobilenetv3_has_near_points_in_mobile(
    picks: dict[str, Any], multiplier: float, published_ms: float
) -> None:
    arch = load_space("mbconv").decode({**picks, "multiplier": multiplier})
    assert load_table("pixel1").predict(arch).ms == pytest.approx(published_ms, rel=0.015)


def test_random_rows_of_mobile_survive_decode_and_encode() -> None:
    space = load_space("mbconv")
    for row in space.sample_matrix(np.random.default_rng(3), 20):
        arch = space.decode_row(row)
        assert space.decode(space.encode(arch)) == arch


def test_size_is_the_number_of_rows(small: Space, rows: np.ndarray) -> None:
    # resolution, multiplier, act, head and stem; stages: none or SE, 1 or 2 layers, none or more
    assert small.size == 2**5 * (1 + 2) * (2 + 2 * 2) * (1 + 2 * 2) == len(rows)


def test_every_network_round_trips(small: Space, rows: np.ndarray) -> None:
    for row in rows[::7]:
        arch = small.decode_row(row)
        assert small.decode(small.encode(arch)) == arch


def test_sums_are_exact_however_many_units_are_lowered_at_once(
    small: Space, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_AT_ONCE", 3)
    sums = Lookup(small, macs_and_params)
    found = sums(rows[::5])
    expected = [cost(small.decode_row(row)) for row in rows[::5]]
    assert found[:, 0].tolist() == [each.macs for each in expected]
    assert found[:, 1].tolist() == [each.params for each in expected]
    assert (sums.least() <= found.min(axis=0)).all()


def test_too_many_combinations_are_refused(small: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_MOST", 100)
    with pytest.raises(
        NasError, match=r"combinations of choices .* too many to tabulate; at most 100"
    ):
        Lookup(small, macs_and_params)


def test_units_are_those_of_all_networks(small: Space, rows: np.ndarray) -> None:
    met = {unit.key for row in rows[::3] for unit in lower(small.decode_row(row))}
    assert met <= distinct_units(small).keys()


def test_choices_act_where_they_should(small: Space) -> None:
    picks: dict[str, Any] = {
        "resolution": 48, "multiplier": 0.5, "act": "swish", "head": "late", "stem1_width": 16,
        "stage1_layers": 0, "stage2_layers": 2, "stage2_expansion_rest": 2.5, "stage2_se": "hidden",
        "stage3_layers": 0,
    }  # fmt: skip
    arch = small.decode(picks)
    assert [block.act for block in (*arch.stem, *arch.head)] == ["swish", "swish", "relu6", "none"]
    first, rest = arch.stages[1]
    assert [len(stage) for stage in arch.stages] == [0, 2, 0]
    # half of 24 channels, to a multiple of 8 but not below 0.9 of it; 2.5 * 16, and a quarter of it
    assert (first.out_channels, first.hidden_channels, first.se_channels) == (16, 32, 8)
    assert (rest.hidden_channels, rest.se_channels, rest.gate, rest.se_act) == (
        40, 16, "hsigmoid", "relu",
    )  # fmt: skip
    assert arch.head[0].out_channels == 24
    assert small.encode(arch) == picks


def test_se_of_the_input_may_take_the_activation_of_its_block(small: Space) -> None:
    row = np.zeros(len(small.columns), dtype=np.uint8)
    (first,) = small.decode_row(row).stages[1]
    assert (first.se_channels, first.se_act, first.gate) == (4, first.act, "sigmoid")


def test_what_is_no_point_says_what_differs_first(small: Space) -> None:
    row = np.zeros(len(small.columns), dtype=np.uint8)
    arch = small.decode_row(row)
    stem = (replace(arch.stem[0], act="hswish"),)
    with pytest.raises(NotInSpace, match="stem, block 1: act is hswish, the nearest choice has r"):
        small.encode(replace(arch, stem=stem))
    wide = (replace(arch.stages[1][0], kernel=5),)
    with pytest.raises(NotInSpace, match="stage 2, block 1: kernel is 5, the nearest choice has 3"):
        small.encode(replace(arch, stages=(arch.stages[0], wide, arch.stages[2])))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[0.5, 1]", "[0.5, 0]", "multiplier must be numbers above 0, 100 at most, not 0"),
        ("[0.5, 1]", "[0.5, wide]", "multiplier must be numbers above 0, 100 at most, not 'wide'"),
        ("act: [relu, swish]", "act: [relu, gelu]", "act must be one of .*, not 'gelu'"),
        ("[false, input]", "[false, output]", "se must be false or one of input, hidden, not 'out"),
        ("[false, input]", "[false, true]", "se must be false or one of input, hidden, not True"),
        ("act: same", "act: gelu", "act must be one of .*, not 'gelu'"),
        ("[1, 2.5]", "[1, 0.5]", "expansion_rest must be numbers from 1 to 1,000, not 0.5"),
        ("rest: [1, 2.5]", "rest: 2\n  per_layer: [expansion]", "per_layer has expansion, which"),
        ("width: 64", "width: 64, expansion_rest: 2", "expansion_rest belongs in stages only"),
        ("layers: [0, 2]", "layers: [0, 2], width_ratio: 2", "width_ratio belongs in stem and"),
        ("width_ratio: 1.5", "width_ratio: 2, width: 8", "width_ratio replaces width"),
        ("width: 64", "width: [64, 96]", "head.wide.0.*width cannot be a choice here"),
        ("stride: 2}", "stride: 2, act: [relu, swish]}", "act cannot be a choice here"),
        ("width: 64", "width: 64, layers: 2", "layers must be 1 in stem and head"),
        ("layers: [1, 2]", "layers: [0, 2]", "a stage of stride 2 cannot have 0 layers"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(BadFile, match=message):
        space_from_mapping(strict_yaml.parse(SMALL.replace(old, new, 1)))


def test_mnasnet_b0_is_the_space_of_the_trainings() -> None:
    assert load_space("mnasnet_b0").fingerprint == load_space("mnasnet_b0").fingerprint


@pytest.mark.parametrize(
    "behind",
    [
        "{kind: conv, width_ratio: 2}",
        "{kind: pool}",
        "{kind: conv, width_ratio: 2, kernel: 3}\n- {kind: conv, width_ratio: 1.5}",
    ],
)
def test_sums_know_the_channels_of_a_stem_that_ends_without_a_width(behind: str) -> None:
    first = "- {kind: conv, width: [8, 16], kernel: 3, stride: 2}\n"
    space = space_from_mapping(strict_yaml.parse(SMALL.replace(first, f"{first}- {behind}\n")))
    rows = space.sample_matrix(np.random.default_rng(3), 60)
    sums = Lookup(space, macs_and_params)
    expected = [cost(space.decode_row(row)) for row in rows]
    assert sums(rows).tolist() == [[c.macs, c.params] for c in expected]
