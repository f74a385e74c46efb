"""The residual of the operator model: its value at known inputs, and the features of units."""

from math import exp, log, sqrt

import numpy as np
import pytest

from nas.core.errors import BadValue
from nas.latency.residual import FEATURES, Residual, features
from nas.network.arrays import unit_at
from nas.network.blocks import Block
from nas.network.cost import cost_of
from nas.network.lowering import lower_block
from nas.space.file import load_space
from nas.space.lookup import units_of

ONE = Residual(
    names=("kernel",), means=(3.0,), scales=(2.0,), offset=0.1, points=((0.0,),), weights=(0.3,)
)


def _rows(*kernels: float) -> np.ndarray:
    """Return rows of features that are 0 but for the kernel."""
    rows = np.zeros((len(kernels), len(FEATURES)))
    rows[:, FEATURES.index("kernel")] = kernels
    return rows


def test_at_an_inducing_point_it_is_offset_and_weight() -> None:
    assert ONE.factor(_rows(3)) == pytest.approx(exp(0.1 + 0.3))


def test_between_points_it_is_the_matern_kernel_of_the_distance() -> None:
    kernel = (1 + sqrt(5) + 5 / 3) * exp(-sqrt(5))  # at a distance of 1
    assert ONE.factor(_rows(5)) == pytest.approx(exp(0.1 + 0.3 * kernel))


def test_far_from_all_points_only_the_offset_is_left() -> None:
    assert ONE.factor(_rows(1e6)) == pytest.approx(exp(0.1))


def test_many_rows_give_what_each_of_them_gives() -> None:
    many = ONE.factor(_rows(1, 3, 5, 7))
    assert many == pytest.approx([float(ONE.factor(row)) for row in _rows(1, 3, 5, 7)], rel=1e-12)


def test_features_are_those_of_the_shape() -> None:
    block = Block(
        kind="mbconv", in_channels=24, out_channels=40, hidden_channels=72, kernel=5, stride=2,
        se_channels=8, act="hswish",
    )  # fmt: skip
    unit = lower_block(block, (24, 28, 28))
    found = dict(zip(FEATURES, features(unit), strict=True))
    assert found["macs"] == pytest.approx(log(cost_of(unit).macs + 1))
    assert found["in_elements"] == pytest.approx(log(24 * 28 * 28))
    assert found["out_elements"] == pytest.approx(log(40 * 14 * 14))
    assert found["side"] == pytest.approx(log(28))
    assert found["hidden_channels"] == pytest.approx(log(72))
    assert (found["in_aligned"], found["hidden_aligned"]) == (0.75, 0.75)  # 8 divides both
    assert (found["kernel"], found["stride"]) == (5, 2)
    assert (found["squeezed"], found["shortcut"]) == (1, 0)
    assert (found["hswish"], found["relu"], found["mbconv"], found["conv"]) == (1, 0, 1, 0)


def test_units_of_arrays_have_the_features_of_each() -> None:
    for at, units in units_of(load_space("mnasnet_b0")):
        rows = features(units)
        for place in (0, len(at) - 1):
            one = features(unit_at(units, place))
            assert np.broadcast_to(rows, (len(at), len(FEATURES)))[place] == pytest.approx(one)


def test_the_factor_has_bounds() -> None:
    wild = Residual(names=("side",), means=(0,), scales=(1,), offset=9.0, points=(), weights=())
    assert wild.factor(_rows(1)) == pytest.approx(exp(3))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"names": ("sides",)}, "unknown feature 'sides'"),
        ({"names": (), "means": (), "scales": (), "points": ((),)}, "must name a feature"),
        ({"scales": (0.0,)}, "not 0"),
        ({"means": ()}, "a number for each of names"),
        ({"points": ((0.0, 1.0),)}, "must have 1 numbers"),
        ({"weights": ()}, "must have 1 numbers, as points"),
    ],
)
def test_what_does_not_fit_together_is_refused(changed: dict[str, object], said: str) -> None:
    own = {"names": ("side",), "means": (0.0,), "scales": (1.0,), "offset": 0.0}
    with pytest.raises(BadValue, match=said):
        Residual(**{**own, "points": ((0.0,),), "weights": (1.0,), **changed})  # type: ignore[arg-type]
