"""The ratio of a unit's latency in a network to its latency alone, by hand."""

from dataclasses import replace
from math import log

import pytest

from nas.latency.correction import FEATURES, Correction, features
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.lowering import lower_block

PLAIN = Block(kind="conv", in_channels=8, out_channels=16, kernel=1, act="relu")
MBCONV = Block(
    kind="mbconv", in_channels=8, out_channels=8, hidden_channels=24, kernel=3, se_channels=2
)


def _unit(block: Block) -> Unit:
    return lower_block(block, (block.in_channels, 10, 10))


def _correction(**coefficients: float) -> Correction:
    return Correction(**{**dict.fromkeys(FEATURES, 0.0), **coefficients})


def test_features_match_hand_computation() -> None:
    found = dict(zip(FEATURES, features(_unit(PLAIN)), strict=True))
    assert found == pytest.approx(
        {
            **dict.fromkeys(FEATURES, 0.0),  # neither shortcut nor squeeze nor h-swish
            "whole": 1.0,
            "log_elements": log((8 + 16) * 100 / 1e5),
            "log_params": log((8 * 16 + 2 * 16) / 1e4),  # with the normalisation's scale and shift
            "log_macs": log(8 * 16 * 100 / 1e7),
        }
    )


def test_shortcut_squeeze_h_swish_and_separable_are_reported() -> None:
    found = dict(zip(FEATURES, features(_unit(MBCONV)), strict=True))
    assert (found["shortcut"], found["squeezed"], found["hard"]) == (1.0, 1.0, 0.0)
    found = dict(zip(FEATURES, features(_unit(replace(PLAIN, act="hswish"))), strict=True))
    assert (found["shortcut"], found["squeezed"], found["hard"]) == (0.0, 0.0, 1.0)
    separable = Block(kind="separable", in_channels=8, out_channels=16, kernel=3)
    found = dict(zip(FEATURES, features(_unit(separable)), strict=True))
    assert (found["shortcut"], found["separable"]) == (0.0, 1.0)
    pool = features(_unit(Block(kind="pool", in_channels=8, out_channels=8)))
    assert pool[FEATURES.index("log_params")] == log(1 / 1e4)  # none count as one


def test_the_factor_is_the_sum_of_its_parts_and_scales_the_time_alone() -> None:
    assert _correction(whole=0.8, shortcut=0.1, squeezed=-0.2).factor(
        _unit(MBCONV)
    ) == pytest.approx(0.7)
    assert _correction(whole=0.8).corrected_ms(_unit(PLAIN), 2.5) == pytest.approx(2.0)
    assert _correction(whole=1.0).corrected_ms(_unit(MBCONV), 2.5) == 2.5
    sized = _correction(whole=1.0, log_elements=0.1)
    assert sized.factor(_unit(PLAIN)) == pytest.approx(1 + 0.1 * log(2400 / 1e5))


def test_no_unit_adds_less_than_a_tenth_of_its_own() -> None:
    assert _correction(whole=-3.0).corrected_ms(_unit(PLAIN), 1.0) == 0.1
    assert _correction(whole=9.0).corrected_ms(_unit(PLAIN), 1.0) == 9.0
