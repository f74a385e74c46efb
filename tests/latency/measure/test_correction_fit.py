"""The fit of the correction: known ones are recovered, and unknown terms stay at their priors."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from nas.latency.correction import FEATURES, Correction, own_ms
from nas.latency.measure.correction_fit import MeasuredNetwork, _ridge, fit_correction
from nas.latency.predictor import COUNTS, FINER
from nas.latency.reload import WeightReload
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture
from nas.space.space import Space

SHARES = (0.05, -0.04, 0.03, -0.02, 0.025)
TRUE = Correction(**{name: SHARES[i % 5] for i, name in enumerate(FEATURES)} | {"whole": 0.8})


def _networks(
    space: Space, count: int, *, seed: int, correction: Correction | None = TRUE, noise: float = 0.0
) -> list[MeasuredNetwork]:
    """Return random networks with latencies by `correction`, plus `noise`.

    Without a correction they take the sum of their units.
    """
    rng = np.random.default_rng(seed)
    archs = map(space.decode_row, space.sample_matrix(rng, count))
    return _measured(map(lower, archs), rng, correction=correction, noise=noise)


def _measured(
    networks_of_units: Iterable[Sequence[Unit]],
    rng: np.random.Generator,
    *,
    correction: Correction | None,
    noise: float = 0.0,
) -> list[MeasuredNetwork]:
    networks = []
    for units in networks_of_units:
        alone = rng.uniform(0.2, 2.0, len(units)).tolist()
        ms = sum(
            correction.corrected_ms(unit, one) if correction else one
            for unit, one in zip(units, alone, strict=True)
        )
        ms *= 1 + noise * float(rng.normal())
        networks.append(MeasuredNetwork(units=units, isolated_ms=alone, ms=ms))
    return networks


def _predicted(correction: Correction, network: MeasuredNetwork) -> float:
    pairs = zip(network.units, network.isolated_ms, strict=True)
    return sum(correction.corrected_ms(unit, ms) for unit, ms in pairs)


def test_a_correction_is_found_again_without_noise(mnasnet_b0: Space) -> None:
    found = fit_correction(_networks(mnasnet_b0, 40, seed=0))
    assert np.abs(found.errors).max() < 2e-3
    for network in _networks(mnasnet_b0, 20, seed=1):
        assert abs(sum(network.isolated_ms) / network.ms - 1) > 0.05
        assert _predicted(found.correction, network) == pytest.approx(network.ms, rel=2e-3)
        for unit in network.units:
            assert found.correction.factor(unit) == pytest.approx(TRUE.factor(unit), abs=0.01)


def test_few_networks_of_another_kind_do_not_spoil_the_rest(mnasnet_b0: Space) -> None:
    true = replace(TRUE, separable=-0.2)
    v1 = [scale_resolution(load_architecture("mobilenet_v1"), side) for side in (128, 192)]
    rng = np.random.default_rng(0)
    separable = _measured(map(lower, v1), rng, correction=true)
    found = fit_correction([*_networks(mnasnet_b0, 40, seed=0, correction=true), *separable])
    assert found.correction.separable == pytest.approx(-0.2, abs=0.02)
    for network in [*_networks(mnasnet_b0, 20, seed=1, correction=true), *separable]:
        assert _predicted(found.correction, network) == pytest.approx(network.ms, rel=5e-3)


def test_units_may_add_a_small_part_of_what_they_take_alone(mnasnet_b0: Space) -> None:
    true = replace(TRUE, whole=0.24)  # a fifth of the factors lies between 0.1 and 0.2
    found = fit_correction(_networks(mnasnet_b0, 90, seed=0, correction=true))
    for network in _networks(mnasnet_b0, 20, seed=1, correction=true):
        assert _predicted(found.correction, network) == pytest.approx(network.ms, rel=5e-3)


def test_networks_that_are_the_sum_of_their_units_need_no_correction(mnasnet_b0: Space) -> None:
    found = fit_correction(_networks(mnasnet_b0, 12, seed=0, correction=None))
    assert np.abs(found.errors).max() < 1e-9
    for unit in _networks(mnasnet_b0, 1, seed=5)[0].units:
        assert found.correction.corrected_ms(unit, 1.7) == pytest.approx(1.7)


def test_what_no_network_has_is_not_corrected_for(mnasnet_b0: Space) -> None:
    found = fit_correction(
        [_without_squeeze(network) for network in _networks(mnasnet_b0, 20, seed=0)]
    )
    assert found.correction.squeezed == 0.0
    coefficients = [getattr(found.correction, name) for name in FEATURES]
    assert sum(coefficients) == pytest.approx(0.8, abs=0.02)
    assert found.correction.terms == {}


def _without_squeeze(network: MeasuredNetwork) -> MeasuredNetwork:
    """Return a network without its squeezed units that takes 0.8 of what is left."""
    pairs = zip(network.units, network.isolated_ms, strict=True)
    units, alone = zip(*(p for p in pairs if not p[0].block.se_channels), strict=True)
    return MeasuredNetwork(units=units, isolated_ms=alone, ms=0.8 * sum(alone))


def test_solutions_are_those_of_leaving_each_row_out() -> None:
    rng = np.random.default_rng(0)
    rows = 1 + 0.3 * rng.normal(size=(15, 5))
    prior, strength = np.eye(5)[0], 1e-2
    wanted = 1 - 0.1 * rng.random(15)
    penalty = strength * len(rows) * np.eye(5)
    solution, without = _ridge(rows, wanted, prior, penalty)

    def solved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return prior + np.linalg.solve(x.T @ x + penalty, x.T @ (y - x @ prior))

    assert solution == pytest.approx(solved(rows, wanted))
    for out, found in enumerate(without):
        assert found == pytest.approx(solved(np.delete(rows, out, axis=0), np.delete(wanted, out)))


def test_what_any_run_costs_is_taken_off_every_unit_and_added_once(mnasnet_b0: Space) -> None:
    fixed = 0.05
    plain = _networks(mnasnet_b0, 12, seed=0, correction=None)
    networks = [
        MeasuredNetwork(
            units=one.units,
            isolated_ms=[fixed + ms for ms in one.isolated_ms],
            ms=fixed + sum(one.isolated_ms),
        )
        for one in plain
    ]
    found = fit_correction(networks, fixed_ms=fixed)
    assert np.abs(found.errors).max() < 1e-9
    for network, one in zip(networks, plain, strict=True):
        pairs = zip(network.units, network.isolated_ms, strict=True)
        corrected = [found.correction.corrected_ms(unit, ms, fixed) for unit, ms in pairs]
        assert corrected == pytest.approx(one.isolated_ms)
    assert np.abs(fit_correction(networks).errors).max() > 1e-4  # what it would be without


def test_a_unit_that_takes_no_longer_than_any_run_still_costs_something() -> None:
    assert own_ms(1.0, 0.4) == pytest.approx(0.6)
    assert own_ms(1.0, 1.1) == pytest.approx(0.05)
    assert own_ms(1.0, 0.0) == 1.0


def test_with_many_networks_the_noise_of_each_is_averaged_out(mnasnet_b0: Space) -> None:
    found = fit_correction(_networks(mnasnet_b0, 60, seed=0, noise=0.03))
    assert 0.02 < found.errors.std() < 0.045
    new = _networks(mnasnet_b0, 60, seed=1)
    off = [_predicted(found.correction, network) / network.ms - 1 for network in new]
    assert np.abs(off).mean() < 0.015


@pytest.mark.parametrize("count", [90, 60])
def test_terms_are_fitted_where_they_explain_much(mnasnet_b0: Space, count: int) -> None:
    true = replace(TRUE, terms={"layers": 1e5, "conv_weights": 0.5})
    found = fit_correction(_networks(mnasnet_b0, count, seed=0, correction=true))
    assert found.correction.terms["layers"] > 0
    new = _networks(mnasnet_b0, 60, seed=1, correction=true)
    off = [abs(_predicted(found.correction, one) / one.ms - 1) for one in new]
    assert max(off) < 0.05


def test_fewer_networks_than_coefficients_give_no_terms(mnasnet_b0: Space) -> None:
    true = replace(TRUE, terms={"layers": 1e5, "conv_weights": 0.5})
    few = len(FEATURES) + len(COUNTS) + len(FINER) - 1
    networks = _networks(mnasnet_b0, few, seed=0, correction=true)
    assert fit_correction(networks).correction.terms == {}


def test_few_networks_give_no_terms_that_explain_little(mnasnet_b0: Space) -> None:
    few = _networks(mnasnet_b0, 60, seed=0, noise=0.03)
    assert fit_correction(few).correction.terms == {}
    many = [*few, *_networks(mnasnet_b0, 30, seed=2, noise=0.03)]
    assert fit_correction(many).correction.terms != {}


RELOAD = WeightReload(fits_mb=2.0, misses_mb=5.0, ms_per_mb=0.5)  # of a cache of 4 MB


def _loading(networks: list[MeasuredNetwork], reload: WeightReload) -> list[MeasuredNetwork]:
    """Return `networks` of up to 9 MB, with the time that `reload` takes."""
    sizes = np.random.default_rng(3).uniform(0.2, 9.0, len(networks)).tolist()
    return [
        replace(one, weights_mb=mb, ms=one.ms + float(reload.ms(mb)))
        for one, mb in zip(networks, sizes, strict=True)
    ]


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_loading_weights_takes_is_found_again(mnasnet_b0: Space, noise: float) -> None:
    networks = _networks(mnasnet_b0, 60, seed=0, noise=noise)
    found = fit_correction(_loading(networks, RELOAD))
    assert found.reload is not None
    assert (found.reload.fits_mb, found.reload.misses_mb) == (2.0, 5.0)
    assert found.reload.ms_per_mb == pytest.approx(0.5, rel=0.1)
    assert np.abs(found.errors).mean() < 0.02


@pytest.mark.parametrize(
    "reload",
    [
        replace(RELOAD, ms_per_mb=0.0),
        replace(RELOAD, fits_mb=50.0, misses_mb=60.0),  # none loads any
    ],
)
def test_where_networks_do_not_differ_in_it_there_is_no_reload(
    mnasnet_b0: Space, reload: WeightReload
) -> None:
    networks = _networks(mnasnet_b0, 60, seed=0, noise=0.02)
    assert fit_correction(_loading(networks, reload)).reload is None


def test_without_networks_there_is_no_correction() -> None:
    with pytest.raises(ValueError, match="there are none"):
        fit_correction([])
