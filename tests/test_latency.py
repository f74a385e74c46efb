"""Latency tables: the operator model, bundled tables, measured entries, files, bad input."""

import builtins
from dataclasses import replace
from math import fsum
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import yaml

from nas import data
from nas.arch import Architecture, Block
from nas.boundary import FEATURES, Boundary
from nas.errors import BadFile, MissingEntry, UnknownName
from nas.latency import Entry, LatencyTable
from nas.latency_file import load_table, write_table
from nas.layers import lower, lower_block
from nas.operators import counts, counts_of
from nas.provenance import Provenance, Validation
from nas.space_file import load_space
from nas.zoo import load_architecture

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


def test_counts_of_convolutions_match_hand_computation() -> None:
    expand, depthwise, project = lower_block(_mbconv(), (24, 56, 56)).layers
    pixels = 56 * 56
    assert counts(expand) == {
        "layers": 1,
        "conv_macs": pixels * 24 * 72,
        "conv_reads": pixels * 24,
        "conv_writes": pixels * 72,
        "conv_weights": 24 * 72,
        "spatial_macs": 0,
        "odd_macs": 0,
        "clipped": pixels * 72,
    }
    assert counts(depthwise) == {
        "layers": 1,
        "depthwise_macs": pixels * 72 * 9,
        "odd_depthwise_macs": 0,
        "depthwise_spill": 0,
        "depthwise_reads": pixels * 72,
        "depthwise_writes": pixels * 72,
        "depthwise_strided": 0,
        "clipped": pixels * 72,
    }
    assert counts(project)["conv_weights"] == 72 * 24


def test_depthwise_input_beyond_the_cache_spills() -> None:
    unit = lower_block(_mbconv(hidden_channels=96, stride=2), (24, 112, 112))
    assert counts_of(unit)["depthwise_spill"] == 96 * 112 * 112 - 250_000


def test_squeeze_and_activations_are_counted() -> None:
    unit = lower_block(_mbconv(se_channels=8, act="hswish"), (24, 14, 14))
    found = counts_of(unit)
    assert found["se_elements"] == 72 * 14 * 14
    assert found["linear_weights"] == 2 * 72 * 8
    assert found["hswish"] == 2 * 72 * 14 * 14


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
    table = load_table("pixel1", era="2018")
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
    found = table.fingerprint(keys)
    monkeypatch.setattr(builtins, "sum", lambda values, start=0: start + fsum(values))
    assert load_table("pixel1").fingerprint(keys) == found  # Python 3.12 adds like this
    assert found.startswith("sha256:")
    assert replace(table, overhead_ms=1.0).fingerprint(keys) != found
    assert table.with_era("2018").fingerprint(keys) != found
    one = Entry(ms=0.1, low_ms=0.0, high_ms=0.2)
    measured = replace(table, entries={keys[0]: one, "no unit of it": one})
    assert measured.fingerprint(keys) != found
    assert replace(measured, entries={keys[0]: one}).fingerprint(keys) == measured.fingerprint(keys)


def test_eras_differ_in_speed_and_in_hswish() -> None:
    new, old = load_table("pixel1"), load_table("pixel1", era="2018")
    assert (new.era, old.era) == ("2019", "2018")
    assert old == new.with_era("2018")

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
    doubt = sum(table.doubt_ms(unit) for unit in lower(arch))
    low, high = table.interval(np.full(3, latency.ms), doubt_ms=doubt)
    assert low == pytest.approx([latency.low_ms] * 3)
    assert high == pytest.approx([latency.high_ms] * 3)
    assert table.interval(1.0, doubt_ms=50.0)[0] == 0.0


def test_measured_entry_goes_before_the_model() -> None:
    unit = lower_block(_mbconv(act="swish"), (24, 28, 28))
    table = replace(
        load_table("pixel1"), entries={unit.key: Entry(ms=1.25, low_ms=1.25, high_ms=1.25)}
    )
    assert table.unit_ms(unit) == 1.25
    assert table.outside(unit) == ()
    assert table.doubt_ms(unit) == 0.0


def test_table_without_model_lists_every_absent_unit() -> None:
    arch = load_architecture("mobilenet_v2")
    first, *others = lower(arch)
    table = replace(
        load_table("pixel1"),
        model=None,
        entries={first.key: Entry(ms=1.0, low_ms=1.0, high_ms=1.0)},
    )
    with pytest.raises(MissingEntry, match="table 'pixel1' was not measured for: ") as error:
        table.predict(arch)
    assert all(unit.key in str(error.value) for unit in others)
    assert first.key not in str(error.value)
    with pytest.raises(MissingEntry):
        table.unit_ms(others[0])


@pytest.mark.parametrize("name", TABLES)
def test_table_survives_writing_and_reading(name: str, tmp_path: Path) -> None:
    table = replace(load_table(name), entries={"some unit": Entry(ms=2.0, low_ms=2.0, high_ms=2.0)})
    write_table(table, tmp_path / "copy.yaml", heading="a table")
    assert load_table(tmp_path / "copy.yaml") == table
    assert data.first_comment(tmp_path / "copy.yaml") == "a table"


def test_unknown_table_and_era_name_the_closest() -> None:
    with pytest.raises(UnknownName, match="did you mean pixel"):
        load_table("pixel9")
    with pytest.raises(UnknownName, match="did you mean 2019, 2018"):
        load_table("pixel1", era="2017")
    with pytest.raises(UnknownName, match="2019"):
        load_table("pixel2", era="2018")


BAD = {
    "conv_macs: 0.1": (
        "conv_macs: -0.1",
        "line .*coefficients.conv_macs must be a number from 0 to .*, not -0.1",
    ),
    "linear_weights: ": ("linear_weight: ", "linear_weights"),
    "factor: ": ("factor: fast #", "factor must be a number"),
    "kernel: [1, 7]": ("kernel: [7, 1]", "ranges: kernel must be the least value and the largest"),
    "threads: 1": ("threads: one", "threads must be a whole number"),
    "dtype: float32": ("dtype: float32\ncolour: red", "unknown key 'colour'"),
    "device: Google Pixel 1": ("device: 1", "device must be a text"),
    "schema: 1": ("schema: 2", "schema is 2"),
    "  coverage: 0.9\n": ("", "missing coverage"),
    "sources: [": ("sources: [1, ", "sources.0 must be a text, not 1"),
    "eras:\n": ("eras: 3\nold:\n", "old"),
}


@pytest.mark.parametrize("found", BAD)
def test_malformed_file_names_file_and_key(found: str, tmp_path: Path) -> None:
    text = data.bundled("latency_tables")["pixel1"].read_text(encoding="utf-8")
    changed, message = BAD[found]
    assert found in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(found, changed, 1), encoding="utf-8")
    with pytest.raises(BadFile, match=message) as error:
        load_table(path)
    assert str(path) in str(error.value)


def test_missing_coefficient_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(data.bundled("latency_tables")["pixel1"].read_text(encoding="utf-8"))
    del content["eras"]["2019"]["coefficients"]["swish"]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadFile, match="era 2019 lacks coefficients for swish"):
        load_table(path)


def test_file_with_neither_model_nor_entries_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(data.bundled("latency_tables")["pixel1"].read_text(encoding="utf-8"))
    del content["model"]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadFile, match="needs entries or a model"):
        load_table(path)


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
    assert "full convolutions behind the stem" in text


# What only a table of measured units has

KEY = lower_block(_mbconv(), (24, 28, 28)).key


def _measured() -> LatencyTable:
    """Return a table with a value in every field, as a measurement would leave it."""
    return replace(
        load_table("pixel1"),
        entries={KEY: Entry(ms=1.5, low_ms=1.25, high_ms=1.75, isolated_ms=2.0)},
        lacks={"mbconv of a kind": "no kernel: for this"},
        boundary=Boundary(coefficients={name: -0.5 + i for i, name in enumerate(FEATURES)}),
        provenance=Provenance(
            backend="fake:noise=0.02", space="mbconv", cpu="A CPU @ 2.4GHz", cpu_count=8,
            cores=(2, 3), governor="", clock_mhz=2400, system="Linux 6 x86_64", python="3.11.1",
            batch=1, method="rounds: shuffled", date="2026-11-22", code_version="0.1.0",
            reference_ms={"mobilenet_v2 at 192": 9.5, "mnasnet_a1 at 192": 8.5}, rounds=30,
            noise=0.015,
            calibrated_on=("0123456789abcdef", "1234567890123456"),
        ),
        validation=Validation(
            bias=-0.01, mape=0.02, worst=0.06, within_5=0.96, within_10=1.0, kendall_tau=-0.1,
            noise_floor=0.01, noise_worst=0.03, speed=1.02, date="2026-11-22",
            points={"network 0": (10.0, 10.5), "mobilenet_v2": (9.0, 9.25)},
        ),
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_measured_table_survives_writing_and_reading(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"copy.{suffix}"
    write_table(_measured(), path, heading="two\nlines")
    assert load_table(path) == _measured()
    begin = {"yaml": "# two\n# lines\nschema: 1\n", "json": '{\n  "schema": 1,\n'}[suffix]
    assert path.read_text(encoding="utf-8").startswith(begin)


def test_an_imported_entry_needs_no_time_alone(tmp_path: Path) -> None:
    table = replace(_measured(), entries={KEY: Entry(ms=1.5, low_ms=1.5, high_ms=1.5)})
    write_table(table, tmp_path / "copy.yaml")
    assert load_table(tmp_path / "copy.yaml").entries[KEY].isolated_ms is None


def test_a_table_of_measured_units_says_which_it_has_not() -> None:
    table = _measured()
    measured, other = (lower_block(_mbconv(), (24, side, side)) for side in (28, 26))
    assert (table.extrapolates(measured), table.extrapolates(other)) == (False, True)
    assert not load_table("pixel1").extrapolates(other)
    doubtful = replace(table, spread=replace(table.spread, modelled=0.25))
    assert doubtful.doubt_ms(measured) == 0.0
    more = doubtful.doubt_ms(other) - table.doubt_ms(other)
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


BAD_MEASURED = {
    "low_ms: 1.25": ("low_ms: 1.6", "line N: .* must have .*low_ms <= ms <= high_ms"),
    "high_ms: 1.75": ("high_ms: 1.4", "line N: .* must have .*low_ms <= ms <= high_ms"),
    "ms: 1.5": ("ms: -1.5", "line N: entries.*ms must be a number from 0 to .*, not -1.5"),
    "    ms: 1.5\n": ("", "line N: entries.mbconv 28x28x24 .*: missing ms"),
    "isolated_ms: 2.0": ("isolated_ms: two", "line N: .*isolated_ms must be a number from 0"),
    "isolated_ms: 2.0 ": ("alone_ms: 2.0", "line N: .*unknown key 'alone_ms'"),
    "clock_mhz: 2400": (
        "clock_mhz: -1",
        "line N: provenance.clock_mhz must be a whole number >= 0",
    ),
    "mnasnet_a1 at 192: 8.5": (
        "mnasnet_a1 at 192: -8.5",
        "line N: provenance.reference_ms.mnasnet_a1 at 192 must be a number from 0 to .*, not -8.5",
    ),
    "noise: 0.015": ("noise: -0.015", "line N: provenance.noise must be a number >= 0, not -0.015"),
    "governor: ''": ("gouverneur: x", "line N: provenance: unknown key 'gouverneur'; did you mean"),
    "  governor: ''\n": ("", "line .*: provenance: missing governor"),
    "cores: [2, 3]": (
        "cores: [2, -3]",
        "line N: provenance.cores.1 must be a whole number >= 0, not -3",
    ),
    "shortcut: 0.5": ("shortcut: .nan", "line N: boundary.shortcut must be a number, not nan"),
    "  shortcut: 0.5\n": ("", "line N: boundary: missing shortcut"),
    "bias: -0.01": ("bias: low", "line N: validation.bias must be a number, not 'low'"),
    "mape: 0.02": ("mape: -0.02", "line N: validation.mape must be a number >= 0, not -0.02"),
    "  worst: 0.06\n": ("", "line N: validation: missing worst"),
    "network 0: [10.0, 10.5]": (
        "network 0: [10.0]",
        r"line N: validation.points.network 0 must be a list of 2 values, not \[10.0\]",
    ),
    "mobilenet_v2: [9.0, 9.25]": (
        "mobilenet_v2: [9.0, -9.25]",
        r"line N: validation.points.mobilenet_v2.1 must be a number > 0, not -9.25",
    ),
    "mbconv of a kind: 'no kernel: for this'": ("mbconv of a kind: 3", "line N: .* must be a text"),
}


@pytest.mark.parametrize("found", BAD_MEASURED)
def test_a_malformed_measured_table_names_file_line_and_key(found: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    write_table(_measured(), path)
    text = path.read_text(encoding="utf-8")
    changed, message = BAD_MEASURED[found]
    found = found.rstrip(" ")
    start = text.rindex(found)
    line = text[:start].count("\n") + 1
    path.write_text(text[:start] + changed + text[start + len(found) :], encoding="utf-8")
    places = "|".join(map(str, (line, line - 1, line - 2, line - 3)))
    with pytest.raises(BadFile, match=message.replace("N", f"({places})")) as error:
        load_table(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
