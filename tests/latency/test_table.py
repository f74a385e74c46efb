"""Latency tables: the operator model, intervals, bundled tables, measured entries."""

import builtins
import re
from dataclasses import replace
from math import fsum
from statistics import fmean

import numpy as np
import pytest

from nas.core.errors import MissingEntry, NasError
from nas.latency.file import load_table
from nas.latency.predictor import OpModel
from nas.latency.table import Entry, LatencyTable, Spread, fingerprint
from nas.network.blocks import Architecture, Block
from nas.network.lowering import lower, lower_block
from nas.network.zoo import load_architecture
from nas.searching.evaluators.table import create as create_evaluator
from nas.space.file import load_space
from nas.space.lookup import distinct_units

TABLES = ("pixel1", "pixel2", "pixel3")
V2_MS = {"pixel1": 64.0, "pixel2": 76.0, "pixel3": 56.0}  # Howard et al., 2019, table 3
# TF-slim's model page: networks that took no part in the fit.
V3_MS = {
    "mobilenet_v3_large": (51.2, 61, 44),
    "mobilenet_v3_large@0.75": (39.8, 48, 34),
    "mobilenet_v3_small": (15.8, 19.4, 14.4),
    "mobilenet_v3_small@0.75": (12.8, 15.9, 11.6),
}
V2_2018_MS = {
    "mobilenet_v2@1.3": 123.0,
    "mobilenet_v2@1.0-160": 40.2,
    "mobilenet_v2@0.75": 55.8,
    "mobilenet_v2@0.5-192": 21.1,
    "mobilenet_v2@0.35-128": 6.9,
}


def _mbconv(**fields: object) -> Block:
    shape = {"in_channels": 24, "out_channels": 24, "hidden_channels": 72, "kernel": 3}
    return Block(kind="mbconv", **{**shape, "act": "relu", **fields})  # type: ignore[arg-type]


def test_pooled_shortcut_costs_like_a_depthwise_convolution_and_is_named() -> None:
    plain = lower_block(_mbconv(skip="none"), (24, 28, 28))
    pooled = lower_block(_mbconv(skip="pool"), (24, 28, 28))
    table = load_table("pixel1")
    assert table.unit_ms(pooled) > table.unit_ms(plain)
    assert "pooled shortcuts" in table.outside(pooled)[0]


@pytest.mark.parametrize("name", TABLES)
def test_anchor_network_is_exact(name: str) -> None:
    latency = load_table(name).predict(load_architecture("mobilenet_v2"))
    assert latency.ms == pytest.approx(V2_MS[name], rel=1e-3)
    assert latency.low_ms < latency.ms < latency.high_ms
    assert latency.outside == ()


@pytest.mark.parametrize(("column", "name"), list(enumerate(TABLES)))
def test_networks_of_2019_that_were_not_fitted_are_close(column: int, name: str) -> None:
    table = load_table(name)
    pairs = [(table.predict(load_architecture(n)), ms[column]) for n, ms in V3_MS.items()]
    assert fmean(abs(latency.ms / ms - 1) for latency, ms in pairs) < 0.035
    assert all(latency.low_ms <= ms <= latency.high_ms for latency, ms in pairs)


def test_networks_of_2018_that_were_not_fitted_are_close() -> None:
    table = load_table("pixel1_2018")
    errors = [table.predict(load_architecture(n)).ms / ms - 1 for n, ms in V2_2018_MS.items()]
    assert fmean(map(abs, errors)) < 0.055


def test_prediction_is_the_sum_of_its_units() -> None:
    table = replace(load_table("pixel1"), overhead_ms=1.5)
    arch = load_architecture("mnasnet_a1")
    latency = table.predict(arch)
    assert latency.ms == pytest.approx(1.5 + sum(table.unit_ms(unit) for unit in lower(arch)))
    assert [part.name for part in latency.units] == [unit.name for unit in lower(arch)]


def test_sums_are_equal_in_any_order_and_number() -> None:
    table, space = load_table("pixel1"), load_space("mobilenetv3")
    rows = space.sample_matrix(np.random.default_rng(0), 200)
    ms = table.over(space)
    together = ms(rows)
    assert together.tolist() == [float(ms(row[None])[0]) for row in rows]
    assert together.tolist() == [table.predict(space.decode_row(row)).ms for row in rows]
    assert (np.round(together, 6) == together).all()


def test_fingerprint_is_of_numbers_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [unit.key for unit in lower(load_architecture("mobilenet_v2"))]
    table = load_table("pixel1")

    def of(table: LatencyTable) -> str:
        return fingerprint(table.inputs(keys))

    found = of(table)
    monkeypatch.setattr(builtins, "sum", lambda values, start=0: start + fsum(values))
    assert of(load_table("pixel1")) == found  # Python 3.12 adds like this
    assert found.startswith("sha256:")
    assert of(replace(table, overhead_ms=1.0)) != found
    assert of(load_table("pixel1_2018")) != found
    one = Entry(ms=0.1, low_ms=0.0, high_ms=0.2)
    measured = replace(table, entries={keys[0]: one, "no unit of it": one})
    assert of(measured) != found
    assert of(replace(measured, entries={keys[0]: one})) == of(measured)


def test_runtimes_of_two_years_differ_in_speed_and_in_hswish() -> None:
    new, old = load_table("pixel1"), load_table("pixel1_2018")

    def slowdown(name: str) -> float:
        arch = load_architecture(name)
        return old.predict(arch).ms / new.predict(arch).ms

    assert 1.1 < slowdown("mobilenet_v2") < 1.2 < slowdown("mobilenet_v3_large")


def test_swish_is_named_once_and_widens_the_interval() -> None:
    table = load_table("pixel1")
    latency = table.predict(load_architecture("efficientnet_b0"))
    assert sum("swish" in reason for reason in latency.outside) == 1
    usual = table.spread.relative * latency.ms
    assert latency.high_ms - latency.ms > 1.5 * usual


def test_what_rests_on_an_assumption_is_within_the_range() -> None:
    table = load_table("pixel1")
    swish, wide = (
        lower_block(Block(kind="conv", in_channels=8, out_channels=n, act=act), (8, 28, 28))
        for n, act in ((8, "swish"), (4096, "relu"))
    )
    assert (len(table.outside(swish)), table.beyond(swish)) == (1, ())
    assert table.beyond(wide) == table.outside(wide)
    assert "channels above the measured" in table.beyond(wide)[0]
    measured = replace(table, entries={wide.key: Entry(ms=1.0, low_ms=1.0, high_ms=1.0)})
    assert measured.beyond(wide) == ()


def test_small_inputs_get_wider_intervals() -> None:
    table = load_table("pixel1")
    low, high = table.interval([10.0, 10.0], resolution=[128, 224])
    assert high[0] - low[0] > 1.5 * (high[1] - low[1])


def test_resolution_outside_of_the_range_is_named() -> None:
    arch = replace(load_architecture("mobilenet_v2"), resolution=320)
    assert load_table("pixel1").predict(arch).outside == ("resolution 320 (measured: 96 to 224)",)


def test_interval_takes_arrays_and_agrees_with_predict() -> None:
    table, arch = load_table("pixel1"), load_architecture("efficientnet_b0")
    latency = table.predict(arch)
    doubt = sum(table.extra_uncertainty_ms(unit) for unit in lower(arch))
    low, high = table.interval(np.full(3, latency.ms), extra_uncertainty_ms=doubt)
    assert low == pytest.approx([latency.low_ms] * 3)
    assert high == pytest.approx([latency.high_ms] * 3)
    assert table.interval(1.0, extra_uncertainty_ms=50.0)[0] == 0.0


def _small_table() -> LatencyTable:
    """Return a table of round numbers: 2 us a multiply-add, 1 us (assumed) a swish."""
    model = OpModel(
        coefficients={"conv_macs": 2000.0, "swish": 1000.0},
        assumed={"swish": "was never measured"},
        ranges={"kernel": (1, 7), "channels": (4, 8), "se_channels": (0, 0), "se_size": (0, 0)},
        resolution=(96, 224),
    )
    spread = Spread(
        coverage=0.9, covered=0.9, relative=0.03, relative_small=0.06, small_below=128,
        assumed=0.625, outside=0.09, modelled=0.125,
    )  # fmt: skip
    return replace(load_table("pixel1"), model=model, spread=spread)


@pytest.mark.parametrize(
    ("resolution", "doubt", "half"),
    [
        (224, 4.0, 5.0),  # 3 % of 100 ms and 4 ms, in quadrature
        (128, 4.0, 5.0),
        (127, 8.0, 10.0),  # 6 % below 128 pixels
        (96, 8.0, 10.0),
        (95, 8.0, 17.0),  # 6 % and 9 % for being outside: 15 ms, and 8 ms
        (225, 5.0, 13.0),  # 3 % and 9 %: 12 ms, and 5 ms
        (225, 0.0, 12.0),
    ],
)
def test_interval_adds_in_quadrature_and_widens_outside_of_the_range(
    resolution: int, doubt: float, half: float
) -> None:
    low, high = _small_table().interval(100.0, extra_uncertainty_ms=doubt, resolution=resolution)
    assert (float(low), float(high)) == pytest.approx((100 - half, 100 + half))


def test_interval_without_a_model_has_no_range_of_resolutions() -> None:
    low, high = replace(_small_table(), model=None).interval(
        100.0, extra_uncertainty_ms=4.0, resolution=1000
    )
    assert (float(low), float(high)) == pytest.approx((95.0, 105.0))


def test_each_part_of_a_unit_adds_uncertainty_once() -> None:
    """4 to 8 channels on 5x5: 800 multiply-adds take 1.6 ms, 200 swish (assumed) 0.2 ms."""
    block = Block(kind="conv", in_channels=4, out_channels=8, act="swish")
    unit, table = lower_block(block, (4, 5, 5)), _small_table()
    assert table.unit_ms(unit) == pytest.approx(1.8)
    assert table.extra_uncertainty_ms(unit) == pytest.approx(0.625 * 0.2)
    assert table.model is not None
    narrow = replace(table.model, ranges={**table.model.ranges, "channels": (4, 6)})
    beyond = replace(table, model=narrow)
    assert beyond.extra_uncertainty_ms(unit) == pytest.approx(0.625 * 0.2 + 0.09 * 1.6)
    some = {"another unit": Entry(ms=1.0, low_ms=1.0, high_ms=1.0)}
    assert replace(table, entries=some).extra_uncertainty_ms(unit) == pytest.approx(
        0.625 * 0.2 + 0.125 * 1.8
    )
    assert replace(beyond, entries=some).extra_uncertainty_ms(unit) == pytest.approx(
        0.625 * 0.2 + 0.125 * 1.8 + 0.09 * 1.6
    )
    plain = lower_block(replace(block, act="relu"), (4, 5, 5))
    assert (table.extra_uncertainty_ms(plain), beyond.extra_uncertainty_ms(plain)) == pytest.approx(
        (0.0, 0.09 * 1.6)
    )


def test_a_prediction_has_the_interval_of_its_sums() -> None:
    """4 to 8 to 8 channels on 10x10: 3,200 and 6,400 multiply-adds, 800 swish each.

    They take 6.4 + 12.8 ms and, assumed, 0.8 + 0.8 ms; with 4.2 ms for the run that is 25 ms. The
    usual error, 3 %, is 0.75 ms, the extra uncertainty 0.625 * 1.6 = 1 ms, together 1.25 ms.
    """
    table = _small_table()
    assert table.model is not None
    table = replace(table, overhead_ms=4.2, model=replace(table.model, resolution=(8, 16)),
                    spread=replace(table.spread, small_below=0))  # fmt: skip
    arch = Architecture(
        resolution=10,
        input_channels=4,
        stem=(Block(kind="conv", in_channels=4, out_channels=8, act="swish"),),
        stages=((Block(kind="conv", in_channels=8, out_channels=8, act="swish"),),),
        head=(Block(kind="pool", in_channels=8, out_channels=8),),
    )
    found = table.predict(arch)
    assert (found.ms, found.low_ms, found.high_ms) == pytest.approx((25.0, 23.75, 26.25))
    assert [unit.ms for unit in found.units] == pytest.approx([7.2, 13.6, 0.0])


def test_measured_entry_takes_precedence_over_the_model() -> None:
    unit = lower_block(_mbconv(act="swish"), (24, 28, 28))
    table = replace(
        load_table("pixel1"), entries={unit.key: Entry(ms=1.25, low_ms=1.25, high_ms=1.25)}
    )
    assert table.unit_ms(unit) == 1.25
    assert table.outside(unit) == ()
    assert table.extra_uncertainty_ms(unit) == 0.0


def test_table_without_model_lists_every_absent_unit() -> None:
    arch = load_architecture("mobilenet_v2")
    first, second, third, *others = lower(arch)
    table = replace(
        load_table("pixel1"),
        model=None,
        entries={u.key: Entry(ms=1, low_ms=1, high_ms=1) for u in (first, second, third)},
    )
    with pytest.raises(
        MissingEntry, match=r"fit-model fits one\), and was not measured for: "
    ) as error:
        table.predict(arch)
    assert all(unit.key in str(error.value) for unit in others)
    assert first.key not in str(error.value)
    with pytest.raises(MissingEntry):
        table.unit_ms(others[0])


@pytest.mark.parametrize("count", [1, 2, 12, 13, 100, 3_000])
def test_a_message_on_many_absent_units_ends_with_how_many_more_there_are(count: int) -> None:
    """Each key has 76 characters, so a message of 1,000 holds 12 of them."""
    first = lower_block(_mbconv(), (24, 28, 28))
    units = tuple(replace(first, in_shape=(24, 1000 + i, 28)) for i in range(count))
    message = str(load_table("pixel1").missing(units))
    named = message.count("; ") + 1
    more = f" (and {count - named} more)" if count > named else ""
    keys = "; ".join(unit.key for unit in units[:named])
    assert message == f"latency table 'pixel1' was not measured for: {keys}{more}"
    assert len(message) <= 1000
    assert named == min(count, 12)


def test_a_message_on_absent_units_ends_whatever_the_runtime_and_the_table_say() -> None:
    units = tuple(lower(load_architecture("mobilenet_v2")))
    lacks = {unit.key: "no\x07 " * 10_000 for unit in units}
    table = replace(load_table("pixel1"), name="n" * 5_000, lacks=lacks)
    message = str(table.missing(units))
    assert f"was not measured for: {units[0].key} (no\\x07 " in message
    assert re.search(r"more\)$", message)
    assert len(message) <= 1000


def test_unusual_convolutions_are_named() -> None:
    arch = Architecture(
        resolution=224,
        stem=(Block(kind="conv", in_channels=3, out_channels=16, kernel=3, stride=2),),
        stages=((Block(kind="conv", in_channels=16, out_channels=4096, kernel=9),),),
        head=(Block(kind="pool", in_channels=4096, out_channels=4096),),
    )
    text = "; ".join(load_table("pixel1").predict(arch).outside)
    assert "kernel size above the measured 7" in text
    assert "channels above the measured 1792" in text
    assert "full convolutions after the stem" in text


def test_a_table_of_measured_units_says_which_it_has_not() -> None:
    measured, other = (lower_block(_mbconv(), (24, side, side)) for side in (28, 26))
    entry = Entry(ms=1.5, low_ms=1.25, high_ms=1.75)
    table = replace(load_table("pixel1"), entries={measured.key: entry})
    assert (table.extrapolates(measured), table.extrapolates(other)) == (False, True)
    assert not load_table("pixel1").extrapolates(other)
    doubtful = replace(table, spread=replace(table.spread, modelled=0.25))
    assert doubtful.extra_uncertainty_ms(measured) == 0.0
    more = doubtful.extra_uncertainty_ms(other) - table.extra_uncertainty_ms(other)
    assert more == pytest.approx(0.25 * table.unit_ms(other), abs=2e-6)


def test_a_refused_unit_is_not_modelled_but_named_with_the_reason() -> None:
    arch = load_architecture("mobilenet_v2")
    refused = lower(arch)[3].key
    table = replace(load_table("pixel1"), lacks={refused: "no such kernel"})
    assert not table.covers(lower(arch)[3])
    with pytest.raises(MissingEntry) as error:
        table.predict(arch)
    assert f"{refused} (no such kernel)" in str(error.value)
    assert lower(arch)[4].key not in str(error.value)


def test_an_uncovered_space_is_reported_in_the_order_of_its_units() -> None:
    pixel1, space = load_table("pixel1"), load_space("mnasnet_b0")
    assert pixel1.model is not None
    ranges = {"kernel": (1, 1), "channels": (20, 100), "se_channels": (5, 8), "se_size": (10, 14)}
    narrow = replace(pixel1, model=replace(pixel1.model, ranges=ranges))
    named = (reason for unit in distinct_units(space).values() for reason in narrow.beyond(unit))
    with pytest.raises(NasError) as caught:
        create_evaluator(space, table=narrow)
    assert "; ".join(dict.fromkeys(named)) in str(caught.value)
