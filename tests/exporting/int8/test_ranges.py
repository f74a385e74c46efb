"""The choice of ranges for bytes."""

import numpy as np
import pytest

from nas.core.errors import NasError, UnknownName
from nas.exporting.int8.ranges import BINS, METHODS, Histogram, QuantizationGrid, grid_of


def histogram(values: np.ndarray) -> Histogram:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    counts = np.histogram(values, BINS, (low, high))[0].astype(float)
    return Histogram(low=float(low), high=float(high), counts=counts)


NORMAL = np.random.default_rng(0).standard_normal(200_000)
HEAVY = np.concatenate([NORMAL, [-60.0, 80.0]])
"""Values with two outliers, which would make the steps of a byte sixteen times as wide."""


def error(grid: QuantizationGrid, values: np.ndarray) -> float:
    return float(((grid.rounded(values) - values) ** 2).mean())


def test_zero_has_a_byte_of_its_own() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 6.0), (2.0, 5.0), (-4.0, -1.0)):
        grid = QuantizationGrid.of(low, high)
        assert grid.rounded(np.zeros(1))[0] == 0
        assert 0 <= grid.zero_point <= 255
        least, most = grid.range
        assert least <= min(low, 0) + grid.scale
        assert most >= max(high, 0) - grid.scale


def test_relu6_uses_all_bytes() -> None:
    assert QuantizationGrid.of(0.0, 6.0) == QuantizationGrid(scale=6 / 255, zero_point=0)


@pytest.mark.parametrize("way", METHODS)
def test_without_outliers_all_ways_are_close(way: str) -> None:
    best = min(error(grid_of(histogram(NORMAL), by=each), NORMAL) for each in METHODS)
    assert error(grid_of(histogram(NORMAL), by=way), NORMAL) < 3 * best


def test_outliers_are_cut_off_where_that_pays() -> None:
    found = {way: grid_of(histogram(HEAVY), by=way) for way in METHODS}
    assert found["minmax"].scale == pytest.approx(140 / 255)
    assert found["percentile"].scale < 0.1 * found["minmax"].scale
    assert error(found["mse"], HEAVY) <= min(error(grid, HEAVY) for grid in found.values()) * 1.01
    assert found["kl"].scale < found["minmax"].scale


def test_values_without_a_range_are_refused() -> None:
    with pytest.raises(NasError, match="have no range"):
        grid_of(Histogram(low=0.0, high=float("inf"), counts=np.ones(4)), by="mse")
    with pytest.raises(UnknownName, match="did you mean mse"):
        grid_of(histogram(NORMAL), by="msee")


def test_the_command_offers_every_way() -> None:
    from nas.cli import quantize

    assert ("auto", *METHODS) == quantize.METHODS
