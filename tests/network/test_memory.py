"""Memory: estimates before building, and the memory of the machine."""

import pytest

from nas.network.cost import cost
from nas.network.memory import Memory, TooLarge, check_memory, memory
from nas.network.multipliers import Multipliers, scale
from nas.network.zoo import load_architecture

B0 = load_architecture("efficientnet_b0")


def test_weights_and_activations_are_floats_of_four_bytes() -> None:
    found = memory(B0)
    assert found.weights == 4 * 5_288_548
    assert found.activations == 4 * cost(B0).activations
    assert found.building > found.weights + found.activations


def test_training_grows_with_the_batch_by_activations_alone() -> None:
    need = Memory(weights=10.0, activations=100.0)
    assert need.training(1) == 5 * 10 + 3 * 100
    assert need.training(32) - need.training(31) == 300


def test_the_estimate_before_scaling_is_near_what_scaling_gives() -> None:
    for by in (Multipliers(width=2), Multipliers(depth=3), Multipliers(resolution=2)):
        guess, exact = memory(B0, by), memory(scale(B0, by))
        assert guess.building == pytest.approx(exact.building, rel=0.35)


def test_the_estimate_of_something_astronomic_is_a_number() -> None:
    huge = memory(B0, Multipliers(width=1e60, depth=1e60, resolution=1e60))
    assert huge.building > 1e100


def test_too_little_memory_is_reported_with_both_figures() -> None:
    with pytest.raises(
        TooLarge, match=r"it needs about 3 GiB, but only 2 GiB are available; do less"
    ):
        check_memory(3 * 2**30, what="it", limit=2 * 2**30, then="do less")
    check_memory(1.0, what="it", limit=2.0, then="do less")
