"""Statistics of imported tables: kept through import and export, and pooled within their noise."""

import json
from pathlib import Path

import pytest

from nas.core.errors import BadFile
from nas.latency.file import load_table, write_table
from nas.latency.importing import read_dialect
from nas.latency.measure.foreign import export_table, import_table


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
