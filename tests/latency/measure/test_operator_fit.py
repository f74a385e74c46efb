"""The operator model: known coefficients are recovered, none is negative, errors are held out."""

import sys
from collections.abc import Mapping

import numpy as np
import pytest

from nas.core.errors import MissingPackage
from nas.latency.measure.operator_fit import fit_operators
from nas.latency.measure.probes import probes
from nas.latency.predictor import COUNTS, EXTENTS, FINER, OpModel, counts_of
from nas.network.blocks import Block
from nas.network.layers import Unit
from nas.network.lowering import lower_block

UNITS = probes(np.random.default_rng(0), 300)
TRUE = {"conv_macs": 0.03, "conv_writes": 0.4, "depthwise_macs": 0.12, "se_elements": 0.9,
        "swish": 0.8, "linear_weights": 0.15, "layers": 900.0}  # fmt: skip


def _ms(coefficients: Mapping[str, float], unit: Unit) -> float:
    return sum(1e-6 * ns * counts_of(unit).get(name, 0) for name, ns in coefficients.items())


def _predicted(model: OpModel, unit: Unit) -> float:
    return _ms(model.coefficients, unit)


def test_known_coefficients_are_found_again() -> None:
    fit = fit_operators(UNITS, [_ms(TRUE, unit) for unit in UNITS])
    assert set(fit.model.coefficients) == {*COUNTS, *FINER}
    for name, ns in fit.model.coefficients.items():
        assert ns == pytest.approx(TRUE.get(name, 0.0), rel=1e-3, abs=1e-3)
    assert np.abs(fit.errors).max() < 1e-4
    for unit in probes(np.random.default_rng(1), 50):
        assert _predicted(fit.model, unit) == pytest.approx(_ms(TRUE, unit), rel=1e-3)


def test_what_is_not_linear_in_the_counts_is_learnt() -> None:
    def slow(unit: Unit) -> float:
        return _ms(TRUE, unit) ** 0.8  # small units are slower than the linear model says

    fit = fit_operators(UNITS, [slow(unit) for unit in UNITS])
    assert fit.model.residual is not None
    new = probes(np.random.default_rng(1), 60)
    linear = [_predicted(fit.model, unit) / slow(unit) - 1 for unit in new]
    whole = [fit.model.ms(unit) / slow(unit) - 1 for unit in new]
    assert np.abs(whole).mean() < 0.6 * np.abs(linear).mean()
    assert np.abs(fit.errors).mean() == pytest.approx(np.abs(whole).mean(), rel=0.5)


def test_few_units_leave_the_model_linear() -> None:
    few = UNITS[:40]
    assert fit_operators(few, [_ms(TRUE, unit) ** 0.9 for unit in few]).model.residual is None


def test_no_coefficient_is_negative_whatever_the_times() -> None:
    times = np.random.default_rng(0).lognormal(size=len(UNITS))
    coefficients = fit_operators(UNITS, times.tolist()).model.coefficients
    assert min(coefficients.values()) == 0.0
    helped = {**TRUE, "swish": -0.02}
    fit = fit_operators(UNITS, [_ms(helped, unit) for unit in UNITS])
    assert fit.model.coefficients["swish"] == 0.0


def test_the_error_of_a_unit_is_that_of_a_fit_without_it() -> None:
    times = [_ms(TRUE, unit) for unit in UNITS]
    odd = max(range(len(UNITS)), key=lambda i: counts_of(UNITS[i]).get("linear_weights", 0))
    times[odd] /= 10
    fit = fit_operators(UNITS, times)
    assert fit.errors[odd] == pytest.approx(9.0, abs=0.5)  # the others are right
    seen = _predicted(fit.model, UNITS[odd]) / times[odd] - 1
    assert abs(seen) < 8.0  # the fit is drawn towards it


def test_ranges_are_the_measured_ones() -> None:
    blocks = (
        (Block(kind="conv", in_channels=3, out_channels=16, kernel=3, stride=2), 160),
        (Block(kind="conv", in_channels=3, out_channels=24, kernel=3, stride=2), 192),
        (Block(kind="mbconv", in_channels=8, out_channels=12, hidden_channels=48, kernel=7,
               se_channels=6), 28),
    )  # fmt: skip
    units = [lower_block(block, (block.in_channels, side, side)) for block, side in blocks]
    model = fit_operators(units, [1.0, 2.0, 3.0]).model
    assert set(model.ranges) == set(EXTENTS)
    assert model.ranges == {
        "kernel": (1, 7), "channels": (16, 48), "se_channels": (6, 6), "se_size": (28, 28),
    }  # fmt: skip
    assert model.resolution == (160, 192)
    assert fit_operators(units[2:], [1.0]).model.resolution == (28, 28)


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingPackage, match="fitting an operator model needs scipy"):
        fit_operators(UNITS, [1.0] * len(UNITS))
