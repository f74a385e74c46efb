"""Statistics of imported tables: kept through import and export, and pooled within their noise."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.errors import BadFile, NasError
from nas.latency.dialect import unit_from_key
from nas.latency.file import load_table, write_table
from nas.latency.importing import read_dialect
from nas.latency.measure.foreign import export_table, import_table, with_model
from nas.latency.reload import WeightReload
from nas.network.zoo import load_architecture
from nas.searching.runs.folder import find_architecture

Nas = Callable[..., Any]


@pytest.mark.parametrize("dialect", ["proxylessnas", "ofa"])
def test_deviation_and_count_come_back_after_import_and_export(
    dialect: str, tmp_path: Path
) -> None:
    data = Path(__file__).resolve().parents[2] / "data"
    source = data / ("proxylessnas_table.yaml" if dialect == "proxylessnas" else "ofa_tables")
    read = read_dialect(dialect, [source]).entries
    table, _ = import_table(dialect, [source], device="d", threads=1, name="t")
    write_table(table, tmp_path / "t.yaml")
    export_table(load_table(tmp_path / "t.yaml"), dialect, tmp_path / "again.json")
    again = read_dialect(dialect, [tmp_path / "again.json"]).entries
    assert set(again) <= set(read)
    assert len(again) >= len(read) // 2
    for key, entry in again.items():
        assert entry.count == read[key].count
        assert entry.deviation_ms == pytest.approx(read[key].deviation_ms, abs=1e-6)


def test_what_belongs_to_no_unit_is_named_when_it_is_left_out(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[2] / "data" / "proxylessnas_table.yaml"
    table, _ = import_table("proxylessnas", [source], device="d", threads=1, name="t")
    reload = WeightReload(fits_mb=1.0, misses_mb=2.5, ms_per_mb=0.03)
    more = replace(table, overhead_ms=0.006, reload=reload)
    plain, left_out = (
        export_table(one, "proxylessnas", tmp_path / "out.json").left_out for one in (table, more)
    )
    assert left_out == (
        *plain,
        "what any run costs, 0.006 ms",
        "loading the weights of networks with more than 1 MB, 0.03 ms for each MB",
    )


def test_noisy_rows_of_one_unit_are_pooled_and_clear_contradictions_refused(tmp_path: Path) -> None:
    rows = [{"mean": 12.5, "std": 16.5, "count": 10}, {"mean": 6.1, "std": 6.7, "count": 30}]
    data = Path(__file__).resolve().parents[2] / "data" / "proxylessnas_table.yaml"
    key = next(k for k in _keys(data) if k.startswith("expanded_conv"))
    files = []
    for i, row in enumerate(rows):
        files.append(tmp_path / f"{i}.json")
        files[-1].write_text(json.dumps({key: row}))
    (entry,) = read_dialect("proxylessnas", files).entries.values()
    mean = (12.5 * 10 + 6.1 * 30) / 40
    variance = sum(
        r["count"] * (r["std"] ** 2 + (r["mean"] - mean) ** 2) for r in rows
    ) / 40  # fmt: skip
    assert entry.ms == pytest.approx(mean)
    assert entry.deviation_ms == pytest.approx(variance**0.5)
    assert entry.count == 40
    files[0].write_text(json.dumps({key: {"mean": 12.5, "std": 0.5, "count": 10}}))
    files[1].write_text(json.dumps({key: {"mean": 6.1, "std": 0.5, "count": 30}}))
    with pytest.raises(BadFile, match=r"but 6\.1 ms"):
        read_dialect("proxylessnas", files)


def _keys(path: Path) -> list[str]:
    from nas.core.data import read_foreign

    return [str(key) for key in read_foreign(path)]


def test_an_operator_model_answers_for_units_that_an_imported_table_lacks(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    table = load_table("note10")
    few = replace(table, entries=dict(list(table.entries.items())[::3]), model=None)
    with pytest.raises(NasError, match="was not measured for"):
        few.predict(load_architecture("mobilenet_v3_large"))
    fitted = with_model(few)
    assert fitted.model is not None
    for name in ("mobilenet_v2", "mobilenet_v3_large"):
        arch = load_architecture(name)
        assert fitted.predict(arch).ms == pytest.approx(table.predict(arch).ms, rel=0.03)
    left = [key for key in table.entries if key not in few.entries]
    errors = [fitted.unit_ms(unit_from_key(key)) / table.entries[key].ms - 1 for key in left]
    assert np.mean(np.abs(errors)) < 0.06
    with pytest.raises(NasError, match="only 5 units; an operator model is fitted to 40 or more"):
        with_model(replace(few, entries=dict(list(few.entries.items())[:5])))


PUBLIC = Path(__file__).resolve().parents[4] / "shared" / "data" / "public_tables"
MOBILE = PUBLIC / "proxylessnas" / "mobile_trim.yaml"
PROXYLESS = """
schema: 1
name: proxyless
resolution: 224
stem:
- {kind: conv, width: 32, kernel: 3, stride: 2, act: relu6}
defaults: {kind: mbconv, act: relu6, expansion: [3, 6], kernel: [3, 5, 7], layers: [1, 2, 3, 4],
           per_layer: [expansion, kernel]}
stages:
- {width: 16, stride: 1, expansion: 1, kernel: 3, layers: 1}
- {width: 24, stride: 2}
- {width: 40, stride: 2}
- {width: 80, stride: 2}
- {width: 96, stride: 1}
- {width: 192, stride: 2}
- {width: 320, stride: 1, layers: 1}
head:
- {kind: conv, width: 1280, act: relu6}
- {kind: pool}
- {kind: linear, width: 1000, act: none}
"""
ONCE_FOR_ALL = """
schema: 1
name: once_for_all
resolution: [160, 176, 192, 208, 224]
se: {ratio: 0.25, of: hidden, divisor: 8}
stem:
- {kind: conv, width: 24, kernel: 3, stride: 2, act: hswish}
- {kind: mbconv, width: 24, kernel: 3, expansion: 1, act: relu}
defaults: {kind: mbconv, gate: hsigmoid, expansion: [3, 4, 6], kernel: [3, 5, 7], layers: [2, 3, 4],
           per_layer: [kernel, expansion]}
stages:
- {width: 32, stride: 2, act: relu}
- {width: 48, stride: 2, act: relu, se: true}
- {width: 96, stride: 2, act: hswish}
- {width: 136, stride: 1, act: hswish, se: true}
- {width: 192, stride: 2, act: hswish, se: true}
head:
- {kind: conv, width: 1152, act: hswish}
- {kind: pool}
- {kind: linear, width: 1536, act: hswish}
- {kind: linear, width: 1000, act: none}
"""
"""The spaces that the published tables were made for."""


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="needs the published tables")
def test_published_tables_are_read_and_equal_the_bundled_one() -> None:
    pytest.importorskip("scipy")
    folder = PUBLIC / "once_for_all_note10"
    table, notes = import_table("ofa", [folder], device="d", threads=1, name="t", model=True)
    bundled = load_table("note10")
    assert {key: round(entry.ms, 6) for key, entry in table.entries.items()} == {
        key: entry.ms for key, entry in bundled.entries.items()
    }
    assert len(notes) == 1
    mobile = MOBILE
    other, _ = import_table("proxylessnas", [mobile], device="d", threads=1, name="t", model=True)
    assert len(other.entries) == 73
    assert other.predict(load_architecture("proxylessnas_mobile")).ms > 50


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="needs the published tables")
@pytest.mark.parametrize(
    ("dialect", "place", "space"),
    [
        ("proxylessnas", MOBILE, PROXYLESS),
        ("ofa", PUBLIC / "once_for_all_note10", ONCE_FOR_ALL),
    ],
)
def test_published_tables_are_searched_by_their_own_units_alone(
    nas: Nas, dialect: str, place: Path, space: str, tmp_path: Path
) -> None:
    table, rows, run = tmp_path / "t.yaml", tmp_path / "s.yaml", tmp_path / "run"
    rows.write_text(space)
    reply = nas("latency", "import", "--dialect", dialect, str(place), "--out", str(table))
    assert "no operator model: other units are refused" in reply.err
    words = ("--space", str(rows), "--latency-table", str(table), "--limit", "latency_ms<=60")
    assert nas("search", *words, "--trials", "100", "--no-plot", "--out", str(run)).code == 0
    (found,) = load_table(table).predict_all([find_architecture(f"{run}:best")])
    assert 0 < found.ms <= 60
    assert not any(unit.extrapolated for unit in found.units)
