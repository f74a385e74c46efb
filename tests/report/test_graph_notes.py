"""A table of an earlier version of graphs says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.core.data import bundled
from nas.latency.backends import graph_of
from nas.latency.file import load_table, write_table
from nas.report.table_notes import notes, other_graphs

EARLIER = "epyc_genoa_onnxruntime_1t_int8_mobilenetv3"


def test_a_table_of_earlier_graphs_says_so_and_one_of_these_does_not(tmp_path: Path) -> None:
    table = load_table(EARLIER)
    assert other_graphs(table) in notes(table)
    assert "int8 graphs of an earlier version" in other_graphs(table)
    assert table.provenance is not None
    now = replace(table.provenance, graph=graph_of("onnxruntime:a=1", "int8"))
    assert other_graphs(replace(table, provenance=now)) == ""
    write_table(replace(table, provenance=now), tmp_path / "t.yaml")
    assert load_table(tmp_path / "t.yaml").provenance == now


@pytest.mark.parametrize("name", [n for n in bundled("latency_tables") if "_fp32_" in n])
def test_tables_of_floats_have_nothing_to_say_of_graphs(name: str) -> None:
    assert other_graphs(load_table(name)) == ""
