"""Spaces: sizes, picks and matrices, encode and decode, neighbours."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.core.errors import NotInSpace
from nas.network.blocks import Architecture
from nas.network.zoo import load_architecture
from nas.space.file import load_space, space_from_mapping
from nas.space.space import Space

SPACES = ("mnasnet_b0", "mobilenetv3", "mnasnet")
SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_published_spaces_have_their_sizes() -> None:
    assert load_space("mnasnet_b0").size == 36**6 * 48 == 104_485_552_128
    assert load_space("mobilenetv3").size == 5 * (9**2 + 9**3 + 9**4) ** 5


def test_size_of_mnasnet_follows_from_its_rows() -> None:
    # kernel x SE, times 1 + 1 for conv and separable, + 3 expansions x 3 skips for mbconv
    operations = 2 * 2 * (1 + 1 + 3 * 3)
    widths_and_layers = (2 * 2, 3 * 3, 3 * 3, 3 * 3, 4 * 3, 4 * 3, 3 * 2)
    assert load_space("mnasnet").size == np.prod([operations * n for n in widths_and_layers])


def test_size_is_the_number_of_different_architectures(tiny: Space, all_rows: np.ndarray) -> None:
    # stage 1: width, expansion, kernel, layers; stage 2: (conv, or mbconv twice) x SE x kernels
    assert tiny.size == 2**4 * (3 * 2 * (2 + 4)) == len(all_rows)
    assert len({tiny.decode_row(row).fingerprint for row in all_rows}) == tiny.size


def test_tiny_space_round_trips_everywhere(tiny: Space, all_rows: np.ndarray) -> None:
    for row in all_rows:
        picks = tiny.unpack(row)
        assert tiny.encode(tiny.decode(picks)) == picks
        assert np.array_equal(tiny.pack(picks), row)


@pytest.mark.parametrize("name", SPACES)
def test_random_picks_survive_decode_and_encode(name: str) -> None:
    space, rng = load_space(name), np.random.default_rng(3)
    for _ in range(20):
        picks = space.unpack(space.sample_matrix(rng, 1)[0])
        arch = space.decode(picks)
        assert space.encode(arch) == picks
        assert space.decode(space.encode(arch)) == arch


@pytest.mark.parametrize("name", SPACES)
def test_samples_are_canonical_and_take_every_value(name: str) -> None:
    space = load_space(name)
    rows = space.sample_matrix(np.random.default_rng(0), 2000)
    assert np.array_equal(space.canonical(rows), rows)
    for column, values in enumerate(space.columns):
        assert set(rows[:, column]) == set(range(len(values.values)))


def test_the_same_seed_gives_the_same_samples() -> None:
    space = load_space("mnasnet_b0")
    one = space.sample_matrix(np.random.default_rng(7), 50)
    assert np.array_equal(one, space.sample_matrix(np.random.default_rng(7), 50))


def test_b0_is_the_stated_point_of_mbconv() -> None:
    picks = load_space("mnasnet_b0").encode(load_architecture("efficientnet_b0"))
    assert [picks[f"stage{s}_expansion"] for s in range(1, 8)] == [1, 6, 6, 6, 6, 6, 6]
    assert [picks[f"stage{s}_kernel"] for s in range(1, 8)] == [3, 3, 5, 3, 5, 5, 3]
    assert [picks[f"stage{s}_layers"] for s in range(1, 8)] == [1, 2, 2, 3, 3, 4, 1]
    assert [picks[f"stage{s}_se"] for s in range(1, 8)] == [True] * 7
    assert len(picks) == 28


def test_nearest_point_to_mobilenetv3_large_is_bundled() -> None:
    depths = (2, 3, 4, 2, 3)
    kernels = (3, 5, 3, 3, 5)
    expansions = ((4, 3), (3, 3, 3), (6, 3, 3, 3), (6, 6), (6, 6, 6))
    picks: dict[str, int | bool | str] = {"resolution": 224}
    for s, (depth, kernel, ratios) in enumerate(zip(depths, kernels, expansions, strict=True), 1):
        picks[f"stage{s}_layers"] = depth
        for layer, ratio in enumerate(ratios, 1):
            picks[f"stage{s}_layer{layer}_kernel"] = kernel
            picks[f"stage{s}_layer{layer}_expansion"] = ratio
    arch = load_space("mobilenetv3").decode(picks)
    assert arch == load_architecture("mobilenet_v3_large_nearest")


@pytest.mark.parametrize("name", ["mnasnet_a1", "mnasnet_b1"])
def test_published_mnasnets_are_points_of_mnasnet(name: str) -> None:
    space, arch = load_space("mnasnet"), load_architecture(name)
    assert space.decode(space.encode(arch)) == arch


def test_inactive_choices_are_left_out_and_ignored(tiny: Space) -> None:
    row = np.zeros(len(tiny.columns), dtype=np.uint8)
    picks = dict(tiny.unpack(row))
    assert picks["stage2_kind"] == "conv"
    assert "stage2_expansion" not in picks
    assert "stage2_layer2_kernel" not in picks
    assert np.array_equal(tiny.pack({**picks, "stage2_layer2_kernel": 5}), row)


def test_equal_spaces_have_equal_fingerprints(tiny: Space) -> None:
    assert replace(tiny, name="other", baseline="x").fingerprint == tiny.fingerprint
    assert replace(tiny, resolutions=(48,)).fingerprint != tiny.fingerprint


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        ({"stage1_kernal": 3}, "unknown choice 'stage1_kernal'; did you mean stage1_kernel"),
        ({"stage1_kernel": 7}, "stage1_kernel is 7; there are 3, 5"),
        ({"stage1_kernel": "3"}, "stage1_kernel is '3'; there are 3, 5"),
        ({}, "no pick for stage1_expansion, stage1_kernel, "),
    ],
)
def test_wrong_picks_are_named(tiny: Space, picks: dict[str, int], message: str) -> None:
    with pytest.raises(NotInSpace, match=message):
        tiny.decode(picks)


def _b0(**changes: object) -> Architecture:
    return replace(load_architecture("efficientnet_b0"), **changes)


def test_no_point_of_the_space_says_what_differs() -> None:
    space, b0 = load_space("mnasnet_b0"), load_architecture("efficientnet_b0")
    stage = b0.stages[2]
    wide = tuple(replace(block, kernel=7) for block in stage)
    for arch, message in [
        (_b0(resolution=240), "resolution is 240; the space has 224"),
        (_b0(stages=b0.stages[:-1], head=()), "it has 6 stages; the space has 7"),
        (_b0(head=b0.head[:-1]), "head has 2 blocks where the space has 3"),
        (
            _b0(stages=(*b0.stages[:2], wide, *b0.stages[3:])),
            "stage 3, block 1: kernel is 7, the nearest choice has ",
        ),
        (
            _b0(stages=(*b0.stages[:2], (*stage, *[stage[-1]] * 5), *b0.stages[3:])),
            "stage 3 has 7 layers; the space has 1, 2, 3",
        ),
    ]:
        with pytest.raises(NotInSpace, match=message):
            space.encode(arch)


def test_rates_of_dropout_make_no_other_point() -> None:
    space = load_space("mnasnet_b0")
    assert space.encode(_b0(dropout=0.5, drop_connect=0.0)) == space.encode(_b0())


def test_networks_of_other_families_are_no_points() -> None:
    for name, space in [("mobilenet_v1", "mnasnet_b0"), ("efficientnet_b0", "mnasnet"),
                        ("mobilenet_v3_large", "mobilenetv3")]:  # fmt: skip
        with pytest.raises(NotInSpace, match=f"{name} is not in space {space}: "):
            load_space(space).encode(load_architecture(name))


def test_a_choice_of_one_value_is_fixed() -> None:
    content = {
        "schema": 1, "name": "one", "resolution": [32],
        "stem": [{"kind": "conv", "width": 8}],
        "stages": [{"width": [16], "expansion": 2, "kernel": [3, 5]}],
        "head": [{"kind": "pool"}, {"kind": "linear", "width": 10, "act": "none"}],
    }  # fmt: skip
    space = space_from_mapping(content)
    assert list(space.choices) == ["stage1_kernel"]
    assert space.size == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
def test_columns_of_the_mbconv_data_set_are_choices() -> None:
    space = load_space("mnasnet_b0")
    names = {"expansion": "e", "kernel": "k", "layers": "l", "se": "se"}
    with (SHARED / "imagenet_mnasnet" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:200]:
        picks = {
            f"stage{s + 1}_{name}": int(row[f"block{s}_{short}"])
            for s in range(7)
            for name, short in names.items()
        }
        picks = {k: bool(v) if k.endswith("_se") else v for k, v in picks.items()}
        assert space.encode(space.decode(picks)) == picks


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
def test_columns_of_the_mobilenetv3_data_set_are_choices() -> None:
    space = load_space("mobilenetv3")
    with (SHARED / "imagenet_mobilenetv3" / "train.csv").open(encoding="utf-8") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(300), strict=False)]
    for row in rows:
        picks = {k: int(v) for k, v in row.items() if v and k in space.choices}
        assert space.unpack(space.pack(picks)) == picks
