"""The zoo: published counts to the last parameter, multipliers, and names."""

import pytest

from nas.core.data import bundled, first_comment
from nas.core.errors import BadFile, NasError, UnknownName
from nas.network.cost import cost
from nas.network.zoo import load_architecture, published_accuracy

PARAMS = {
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856,
    "mnasnet_a1": 3_887_038,
    "mnasnet_b1": 4_383_312,
    "proxylessnas_mobile": 4_080_512,
    "single_path_nas": 4_421_616,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}

PUBLISHED_MACS_M = {
    "mobilenet_v1": 569, "mobilenet_v2": 300, "mobilenet_v3_large": 217,
    "mobilenet_v3_small": 56, "mnasnet_a1": 312, "mnasnet_b1": 315, "proxylessnas_mobile": 320,
    "efficientnet_b0": 390, "efficientnet_b1": 700, "efficientnet_b2": 1000,
    "efficientnet_b3": 1800, "efficientnet_b4": 4200, "efficientnet_b5": 9900,
    "efficientnet_b6": 19_000, "efficientnet_b7": 37_000,
}  # fmt: skip

# Published in millions, by the model pages and papers of the MobileNets.
SCALED = {
    "mobilenet_v1@0.75": (2.6, 325), "mobilenet_v1@0.5": (1.3, 149), "mobilenet_v1@0.25": (0.5, 41),
    "mobilenet_v1@1.0-192": (4.2, 418), "mobilenet_v1@1-128": (4.2, 186),
    "mobilenet_v1@0.75-192": (2.6, 239), "mobilenet_v1@.25-128": (0.5, 14),
    "mobilenet_v2@1.4": (6.1, 582), "mobilenet_v2@0.75": (2.6, 209), "mobilenet_v2@0.5": (2.0, 97),
    "mobilenet_v2@0.35": (1.7, 59), "mobilenet_v2@1.0-96": (3.5, 56),
    "mobilenet_v3_large@0.75": (4.0, 155), "mobilenet_v3_small@0.75": (2.0, 44),
}  # fmt: skip

# To the digit, as the trainable parameters of the reference implementations.
SCALED_PARAMS = {
    "mobilenet_v1@0.75": 2_585_560, "mobilenet_v1@0.5": 1_331_592, "mobilenet_v1@0.25": 470_072,
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMS)
def test_parameters_are_the_published_ones(name: str) -> None:
    assert cost(load_architecture(name)).params == PARAMS[name]


@pytest.mark.parametrize("name", PUBLISHED_MACS_M)
def test_multiply_adds_are_near_the_rounded_published_ones(name: str) -> None:
    macs = cost(load_architecture(name)).macs / 1e6
    assert macs == pytest.approx(PUBLISHED_MACS_M[name], rel=0.05)


@pytest.mark.parametrize("name", SCALED)
def test_multipliers_give_the_published_networks(name: str) -> None:
    found = cost(load_architecture(name))
    params, macs = SCALED[name]
    assert found.params / 1e6 == pytest.approx(params, abs=0.06)
    assert found.macs / 1e6 == pytest.approx(macs, abs=1.0)


@pytest.mark.parametrize("name", SCALED_PARAMS)
def test_multipliers_are_exact(name: str) -> None:
    assert cost(load_architecture(name)).params == SCALED_PARAMS[name]


def test_a_multiplier_keeps_the_name_and_sets_the_resolution() -> None:
    arch = load_architecture("mobilenet_v1@0.75-192")
    assert (arch.name, arch.resolution) == ("mobilenet_v1@0.75-192", 192)
    assert arch.stem[0].out_channels == 24
    assert arch.head[-1].out_channels == 1000


def test_a_multiplier_of_one_changes_nothing() -> None:
    for name in PARAMS:
        assert load_architecture(f"{name}@1.0") == load_architecture(name)


@pytest.mark.parametrize("name", bundled("architectures"))
def test_every_bundled_file_says_what_it_is(name: str) -> None:
    assert first_comment(bundled("architectures")[name])
    assert load_architecture(name).name == name


@pytest.mark.parametrize("name", PARAMS)
def test_every_published_network_has_its_reference(name: str) -> None:
    reference = published_accuracy(name)
    assert reference is not None
    assert 0.6 < reference.top1 < 0.9
    assert reference.source


def test_nothing_is_known_about_other_names() -> None:
    assert published_accuracy("nothing") is None


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "mobilnet_v2",
            UnknownName,
            "unknown architecture 'mobilnet_v2'; did you mean mobilenet_v",
        ),
        ("mobilnet_v2@0.5", UnknownName, "did you mean mobilenet_v2"),
        ("mobilenet_v2@half", UnknownName, "did you mean mobilenet_v2"),
        ("", UnknownName, "there are: efficientnet_b0"),
        ("mobilenet_v1@0", NasError, "width multiplier must be between 0.05 and 10, not 0"),
        ("mobilenet_v1@1.0-0", NasError, "resolution must be a whole number >= 1, not 0"),
        ("missing.yaml", BadFile, r"missing\.yaml: no such file"),
        ("nowhere/missing", BadFile, "nowhere/missing: no such file"),
    ],
)
def test_a_bad_name_is_one_line(name: str, error: type[NasError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        load_architecture(name)
    assert "\n" not in str(caught.value)
