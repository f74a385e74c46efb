"""Files of latency tables: round trips, and errors of malformed ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nas.core import data
from nas.core.errors import BadFile, UnknownName
from nas.latency.correction import FEATURES, Correction
from nas.latency.file import load_table, write_table
from nas.latency.provenance import Provenance, Validation
from nas.latency.residual import Residual
from nas.latency.table import Entry, LatencyTable
from nas.network.blocks import Block
from nas.network.lowering import lower_block

TABLES = ("pixel1", "pixel1_2018", "pixel2", "pixel3")


@pytest.mark.parametrize("name", TABLES)
def test_table_survives_writing_and_reading(name: str, tmp_path: Path) -> None:
    table = replace(load_table(name), entries={"some unit": Entry(ms=2.0, low_ms=2.0, high_ms=2.0)})
    write_table(table, tmp_path / "copy.yaml", heading="a table")
    assert load_table(tmp_path / "copy.yaml") == table
    assert data.first_comment(tmp_path / "copy.yaml") == "a table"


def test_unknown_table_names_the_closest() -> None:
    with pytest.raises(UnknownName, match="did you mean pixel"):
        load_table("pixel9")


BAD = {
    "conv_macs: 0.1": (
        "conv_macs: -0.1",
        "line .*coefficients.conv_macs must be a number from 0 to .*, not -0.1",
    ),
    "linear_weights: ": ("linear_weight: ", "linear_weights"),
    "kernel: [1, 7]": ("kernel: [7, 1]", "ranges: kernel must be the least value and the largest"),
    "threads: 1": ("threads: one", "threads must be a whole number"),
    "dtype: float32": ("dtype: float32\ncolour: red", "unknown key 'colour'"),
    "device: Google Pixel 1": ("device: 1", "device must be a text"),
    "schema: 1": ("schema: 2", "schema is 2"),
    "  coverage: 0.9\n": ("", "missing coverage"),
    "sources: [": ("sources: [1, ", "sources.0 must be a text, not 1"),
    "runtime: ": ("runtimes: ", "unknown key 'runtimes'; did you mean runtime"),
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
    del content["model"]["coefficients"]["swish"]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadFile, match="lacks coefficients for swish"):
        load_table(path)


def test_file_with_neither_model_nor_entries_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(data.bundled("latency_tables")["pixel1"].read_text(encoding="utf-8"))
    del content["model"]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadFile, match="needs entries or a model"):
        load_table(path)


# Only tables of measured units have these

BLOCK = Block(kind="mbconv", in_channels=24, out_channels=24, hidden_channels=72, kernel=3)
KEY = lower_block(BLOCK, (24, 28, 28)).key


def _measured() -> LatencyTable:
    """Return a table with a value in every field, as a measurement would leave it."""
    table = load_table("pixel1")
    assert table.model is not None
    residual = Residual(
        names=("side", "hswish"), means=(0.5, 9.5), scales=(0.5, 3.5), offset=-0.125,
        points=((-0.5, 1.25), (1.0, -2.0)), weights=(0.25, -0.75),
    )  # fmt: skip
    return replace(
        table,
        model=replace(table.model, residual=residual),
        entries={KEY: Entry(ms=1.5, low_ms=1.25, high_ms=1.75, isolated_ms=2.0)},
        lacks={"mbconv of a kind": "no kernel: for this"},
        correction=Correction(**{name: -0.5 + i for i, name in enumerate(FEATURES)}),
        provenance=Provenance(
            backend="fake:noise=0.02", space="mnasnet_b0", cpu="A CPU @ 2.4GHz", cpu_count=8,
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


@pytest.mark.parametrize(
    ("name", "value"), [("offset", 1e300), ("scales", [1e-300]), ("points", [[1e200]])]
)
def test_a_residual_whose_sums_would_overflow_is_refused(
    name: str, value: object, tmp_path: Path
) -> None:
    write_table(_measured(), tmp_path / "t.yaml")
    content = yaml.safe_load((tmp_path / "t.yaml").read_text(encoding="utf-8"))
    content["model"]["residual"][name] = value
    (tmp_path / "t.yaml").write_text(data.to_yaml(content), encoding="utf-8")
    with pytest.raises(BadFile, match=rf"model.residual.{name}[.0]* must be a number from"):
        load_table(tmp_path / "t.yaml")
