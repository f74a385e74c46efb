"""The residual of the operator model: its value at known inputs, for one unit and for arrays."""

from math import exp, sqrt

import numpy as np
import pytest

from nas.core.errors import BadValue
from nas.latency.residual import Residual

LOG_8 = float(np.log1p(7))
ONE = Residual(
    names=("conv_macs",),
    means=(LOG_8,),
    scales=(2.0,),
    offset=0.1,
    points=((0.0,),),
    weights=(0.3,),
)


def test_at_an_inducing_point_it_is_offset_and_weight() -> None:
    assert float(ONE.factor({"conv_macs": 7})) == pytest.approx(exp(0.1 + 0.3))


def test_between_points_it_is_the_matern_kernel_of_the_distance() -> None:
    distance = (np.log1p(100) - LOG_8) / 2
    kernel = (1 + sqrt(5) * distance + 5 * distance**2 / 3) * exp(-sqrt(5) * distance)
    assert float(ONE.factor({"conv_macs": 100})) == pytest.approx(exp(0.1 + 0.3 * kernel))


def test_far_from_all_points_only_the_offset_is_left() -> None:
    assert float(ONE.factor({"conv_macs": 10**30})) == pytest.approx(exp(0.1))


def test_arrays_give_what_each_of_their_units_gives() -> None:
    many = ONE.factor({"conv_macs": np.array([0, 7, 100, 3000])})
    alone = [float(ONE.factor({"conv_macs": n})) for n in (0, 7, 100, 3000)]
    assert many == pytest.approx(alone, rel=1e-12)
    assert float(ONE.factor({})) == pytest.approx(many[0])  # an absent count is 0


def test_the_factor_has_bounds() -> None:
    wild = Residual(names=("layers",), means=(0,), scales=(1,), offset=9.0, points=(), weights=())
    assert float(wild.factor({"layers": 1})) == pytest.approx(exp(1.5))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scales": (0.0,)}, "not 0"),
        ({"means": ()}, "a number for each of names"),
        ({"points": ((0.0, 1.0),)}, "must have 1 numbers"),
        ({"weights": ()}, "must have 1 numbers, as points"),
    ],
)
def test_what_does_not_fit_together_is_refused(changed: dict[str, object], said: str) -> None:
    own = {"names": ("layers",), "means": (0.0,), "scales": (1.0,), "offset": 0.0}
    with pytest.raises(BadValue, match=said):
        Residual(**{**own, "points": ((0.0,),), "weights": (1.0,), **changed})  # type: ignore[arg-type]
