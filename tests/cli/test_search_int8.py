"""`nas search --dtype`: its output, and that of later commands."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

Nas = Callable[..., Any]
FLOAT = "epyc_genoa_onnxruntime_1t_fp32_mobilenetv3"
WHOLE = "epyc_genoa_onnxruntime_1t_int8_mobilenetv3"


def test_a_search_in_both_says_the_dtype_of_each_solution(nas: Nas, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    words = ("--space", "mobilenetv3", "--latency-table", FLOAT, "--dtype", "fp32,int8")
    said = nas("search", *words, "--trials", "300", "--out", out)
    assert said.code == 0, said.err
    assert "dtype" in said.out.splitlines()[1].split()
    for dtype, table in (("fp32", FLOAT), ("int8", WHOLE)):
        assert f"latency_ms: {table}, AMD EPYC, onnxruntime 1.31.1, {dtype}" in said.out
    assert "measured with int8 graphs of an earlier version" in said.out
    assert (tmp_path / "run" / "front.png").stat().st_size > 1000
    rows = csv.DictReader((tmp_path / "run" / "pareto.csv").read_text().splitlines())
    found = {row["dtype"]: row["name"] for row in rows}
    assert found.keys() == {"fp32", "int8"}

    shown = nas("show", f"{out}:{found['int8']}")
    assert WHOLE in shown.err
    assert f"found for int8: nas train {out}:{found['int8']}" in shown.err
    assert json.loads(nas("show", f"{out}:{found['int8']}", "--json").out)["dtype"] == "int8"
    assert "found for int8" not in nas("show", f"{out}:{found['fp32']}").err
    assert "dtype: fp32,int8" in nas("status", out).out
    again = nas("search", "--out", out, "--json")
    assert json.loads(again.out)["dtype"] == "fp32,int8"


def test_settings_are_named_as_flags(nas: Nas) -> None:
    words = ("--space", "mobilenetv3", "--evaluator", "zero_cost:score=params", "--data", "digits")
    said = nas("search", *words, "--latency-table", f"{FLOAT},{WHOLE}")
    assert said.code == 2
    assert "search in one --dtype, or by an accuracy" in said.err


def test_each_solution_is_checked_in_its_dtype(nas: Nas, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    words = ("--space", "mobilenetv3", "--latency-table", f"{FLOAT},{WHOLE}", "--no-plot")
    assert nas("search", *words, "--trials", "300", "--out", out).code == 0
    said = nas("latency", "check", out, "--top", "2", "--backend", "fake", "--json")
    assert said.code == 0, said.err
    first, last = json.loads(said.out)["networks"]
    assert first["measured_ms"] != last["measured_ms"]
    for network in (first, last):  # the first one is in int8, the last one in fp32
        assert any("this is fake" in note for note in network["notes"])
        assert not any("thread(s)" in note for note in network["notes"])
