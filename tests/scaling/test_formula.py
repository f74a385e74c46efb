"""Compound scaling: the published family, the formula, and the accuracy of its costs."""

from dataclasses import replace
from math import nan

import pytest

from nas.core.errors import BadValue, NasError
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.multipliers import Multipliers, round_channels, scale, scale_resolution
from nas.network.zoo import load_architecture
from nas.scaling.formula import PUBLISHED, Compound, grow, predict_macs, published
from nas.training.task import for_classes

B0 = load_architecture("efficientnet_b0")
BEST_PHI = {1: 0.34, 2: 1.03, 3: 1.95, 4: 3.47, 5: 4.65, 6: 5.63, 7: 6.57}
"""The phi at which the formula is nearest to each published member."""


@pytest.mark.parametrize("number", PUBLISHED)
def test_published_members_are_those_of_the_zoo(number: int) -> None:
    assert published(B0, number) == load_architecture(f"efficientnet_b{number}")
    assert published(B0, number).name == f"efficientnet_b{number}"


def test_a_family_of_other_classes_keeps_them() -> None:
    small = published(for_classes(B0, 10), 2)
    assert small.head[-1].out_channels == 10
    assert for_classes(small, 1000) == load_architecture("efficientnet_b2")


def test_phi_0_is_the_base() -> None:
    assert grow(B0, 0) == B0
    assert published(B0, 0) == B0


def test_phi_0_of_a_family_of_other_classes_keeps_them() -> None:
    for base in (for_classes(B0, 10), replace(B0, name="mine")):
        assert published(base, 0) == base


def test_only_b0_has_published_members() -> None:
    with pytest.raises(NasError, match=r"mobilenet_v2 has no published family, only efficientnet"):
        published(load_architecture("mobilenet_v2"), 1)


@pytest.mark.parametrize("phi", [8, 1.5, -1, nan])
def test_there_are_seven_published_members(phi: float) -> None:
    with pytest.raises(BadValue, match="there are 0 to 7"):
        published(B0, phi)


@pytest.mark.parametrize("phi", [0.5, 1, 2.3, 5])
def test_the_formula_is_kept_up_to_rounding(phi: float) -> None:
    wanted, grown = Compound().at(phi), grow(B0, phi)
    assert abs(grown.resolution - 224 * 1.15**phi) <= 0.5
    for before, after in zip(B0.stages, grown.stages, strict=True):
        assert 0 <= len(after) - len(before) * wanted.depth < 1
        exact = before[-1].out_channels * wanted.width
        assert after[-1].out_channels == round_channels(exact)
        assert -0.1 * exact <= after[-1].out_channels - exact < 8


@pytest.mark.parametrize(("number", "phi"), BEST_PHI.items())
def test_published_multipliers_are_those_of_some_phi_up_to_rounding(
    number: int, phi: float
) -> None:
    row, formula = PUBLISHED[number], Compound().at(phi)
    bound = 0.035 if number <= 3 else 0.075  # one decimal explains the first three, not the others
    assert row.width == pytest.approx(formula.width, rel=bound)
    assert row.depth == pytest.approx(formula.depth, rel=bound)
    assert row.resolution == pytest.approx(224 * formula.resolution, rel=bound)


@pytest.mark.parametrize(("number", "phi"), BEST_PHI.items())
def test_the_formula_comes_near_the_published_costs(number: int, phi: float) -> None:
    ours, theirs = cost(grow(B0, phi)).macs, cost(published(B0, number)).macs
    assert ours == pytest.approx(theirs, rel=0.025 if number <= 3 else 0.19)


def test_dropout_and_drop_connect_grow_from_b0_to_b7() -> None:
    rates = [(grow(B0, phi).dropout, grow(B0, phi).drop_connect) for phi in (0, 3.5, 7, 9)]
    assert rates == [(0.2, 0.2), (0.35, 0.35), (0.5, 0.5), (0.5, 0.5)]
    assert grow(B0, 1).dropout == 0.2429  # 0.2 + 0.3 / 7


def test_a_network_without_dropout_gets_none() -> None:
    plain = grow(replace(B0, dropout=0.0, drop_connect=0.6), 2)
    assert (plain.dropout, plain.drop_connect) == (0.0, 0.6)


def test_multiples_other_than_8_are_kept() -> None:
    for multiple in (1, 4, 16):
        grown = grow(B0, 2, multiple=multiple)
        assert {b.out_channels % multiple for stage in grown.stages for b in stage} == {0}
    assert grow(B0, 1, multiple=1).stages[1][0].out_channels == 26  # 24 * 1.1 = 26.4


def test_a_dimension_that_stays_has_a_1() -> None:
    assert Compound(alpha=1, beta=1, gamma=1).at(3) == Multipliers()


def test_drop_connect_is_the_family_s_whatever_the_base_has() -> None:
    bare = replace(B0, dropout=0.0, drop_connect=0.7)
    assert published(bare, 3) == load_architecture("efficientnet_b3")


@pytest.mark.parametrize("values", [{"alpha": 0.9}, {"beta": 0}, {"gamma": nan}])
def test_alpha_beta_gamma_are_1_or_more(values: dict[str, float]) -> None:
    with pytest.raises(BadValue, match=rf"{next(iter(values))} must be a finite number of 1"):
        Compound(**values)


@pytest.mark.parametrize("phi", [-0.1, nan, float("inf"), 1e9])
def test_phi_is_a_number_that_can_be_worked_with(phi: float) -> None:
    with pytest.raises(BadValue, match="phi"):
        Compound().at(phi)


def test_the_growth_is_the_product_of_the_paper() -> None:
    assert Compound().growth == pytest.approx(1.2 * 1.1**2 * 1.15**2)
    assert Compound().at(3).growth == pytest.approx(Compound().growth ** 3)


def _only(arch: Architecture, **by: float) -> tuple[float, int]:
    scaled = scale(arch, Multipliers(**by))
    return predict_macs(arch, scaled), cost(scaled).macs


def test_prediction_is_exact_for_the_base_and_close_for_its_family() -> None:
    assert predict_macs(B0, B0) == cost(B0).macs
    for number in PUBLISHED:
        member = load_architecture(f"efficientnet_b{number}")
        assert predict_macs(B0, member) == pytest.approx(cost(member).macs, rel=0.025)


def test_prediction_leaves_aside_what_pooling_makes_independent_of_resolution() -> None:
    predicted, counted = _only(B0, resolution=2)
    assert counted < predicted < 1.01 * counted


def test_prediction_lets_depthwise_convolutions_grow_too_much_with_width() -> None:
    predicted, counted = _only(B0, width=2)
    assert 1.02 * counted < predicted < 1.08 * counted


def test_levels_that_a_head_gets_with_the_resolution_count_as_they_are() -> None:
    base = scale_resolution(load_architecture("ssdlite:mobilenet_v2@0.35"), 64)
    scaled = scale(base, Multipliers(width=1.2, resolution=1.2))
    assert len(scaled.head) > len(base.head)
    assert predict_macs(base, scaled) == pytest.approx(cost(scaled).macs, rel=0.3)
