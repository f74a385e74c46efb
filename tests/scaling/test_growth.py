"""Requested growth: valid combinations, names, and memory."""

from typing import Any

import pytest

from nas.core.errors import NasError
from nas.network.memory import TooLarge
from nas.network.zoo import load_architecture
from nas.scaling.growth import Growth, grown

B0 = load_architecture("efficientnet_b0")
GIB = 2.0**30


@pytest.mark.parametrize(
    ("growth", "message"),
    [
        ({}, "say how to scale"),
        ({"phi": 1, "width": 2, "depth": 2}, "leave out `width` and `depth`"),
        ({"alpha": 1.2}, "`alpha` needs `phi`"),
        ({"published": True, "width": 2}, "`published` needs `phi`"),
        ({"published": True, "phi": 1, "beta": 2, "multiple": 8}, "leave out `beta` and `multi"),
    ],
)
def test_contradictions_are_named(growth: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        Growth(**growth)


@pytest.mark.parametrize("name", ["width", "depth", "resolution"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_multipliers_are_finite_and_above_0(name: str, value: float) -> None:
    with pytest.raises(NasError, match=rf"{name} must be a finite number above 0"):
        grown(B0, Growth(**{name: value}), limit=GIB)


def test_resolution_is_pixels_or_a_multiplier() -> None:
    assert grown(B0, Growth(resolution=192), limit=GIB).resolution == 192
    assert grown(B0, Growth(resolution=1.5), limit=GIB).resolution == 336
    with pytest.raises(NasError, match="whole pixels"):
        grown(B0, Growth(resolution=192.5), limit=GIB)
    with pytest.raises(NasError, match="leaves 2 pixels"):
        grown(B0, Growth(resolution=0.01), limit=GIB)


def test_a_width_without_channels_says_which_is_enough() -> None:
    with pytest.raises(NasError, match=r"16 channels of stages.0.0; take 0.0625 or more"):
        grown(B0, Growth(width=0.06), limit=GIB)
    assert grown(B0, Growth(width=0.0625), limit=GIB).stages[0][0].out_channels == 8


def test_names_tell_how() -> None:
    assert grown(B0, Growth(phi=1.5), limit=GIB).name == "efficientnet_b0-phi1.5"
    growth = Growth(width=0.5, resolution=112)
    assert grown(B0, growth, limit=GIB).name == "efficientnet_b0-w0.5-r0.5"


@pytest.mark.parametrize("phi", [12, 100, 3800])
def test_what_the_memory_does_not_hold_is_refused_before_it_is_built(phi: float) -> None:
    with pytest.raises(TooLarge, match=rf"at phi{phi} needs about .* only 1 GiB"):
        grown(B0, Growth(phi=phi), limit=GIB)


def test_published_members_must_fit_too() -> None:
    growth = Growth(phi=7, published=True)
    assert grown(B0, growth, limit=4 * GIB) == load_architecture("efficientnet_b7")
    with pytest.raises(TooLarge):
        grown(B0, growth, limit=GIB / 4)
