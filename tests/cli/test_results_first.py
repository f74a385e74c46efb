"""Results are written first: a later failure costs one line and no result."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_search import WORDS

from nas.latency.file import load_table, write_table
from nas.latency.table import Entry
from nas.space.file import load_space
from nas.space.lookup import distinct_units

Nas = Callable[..., Any]
SEARCH = ("search", *WORDS, "--strategy", "random", "--trials", "30", "--out", "run")
TINY = ("--evaluator", "fakes.plain", "--allow-extrapolation")


def front(run: str = "run") -> list[dict[str, str]]:
    with Path(run, "pareto.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_references_that_a_table_lacks_are_left_out_and_named(nas: Nas) -> None:
    table = "epyc_genoa_onnxruntime_1t_fp32_mnasnet_b0"
    reply = nas(*SEARCH, "--latency-table", table, "--on-missing", "fail", "--no-plot")
    assert reply.code == 0, reply.err
    assert len(list(Path("run/archs").iterdir())) == len(front()) > 1
    (line,) = (line for line in reply.err.splitlines() if line.startswith("not compared"))
    assert line.endswith(
        "lacks units of them: " + ", ".join(f"efficientnet_b{i}" for i in range(3, 8))
    )
    assert "efficientnet_b0 " in reply.out
    again = nas("search", "--out", "run", "--no-plot", "--json")
    assert json.loads(again.out)["baseline"]["name"] == "efficientnet_b0"


@pytest.fixture
def imported(tmp_path: Path, fakes_path: Path) -> tuple[str, str]:
    """Return a space with a baseline, and a table as imports give it: of its units alone."""
    text = (fakes_path / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(f"{text}baseline: mobilenet_v3_small\n")
    units = distinct_units(load_space(tmp_path / "mine.yaml"))
    entries = {key: Entry(ms=i, low_ms=i, high_ms=i) for i, key in enumerate(units, start=1)}
    table = replace(load_table("pixel1"), name="few", model=None, entries=entries)
    write_table(table, tmp_path / "few.yaml")
    return str(tmp_path / "mine.yaml"), str(tmp_path / "few.yaml")


def test_an_imported_table_gives_a_front_without_any_comparison(
    nas: Nas, imported: tuple[str, str]
) -> None:
    space, table = imported
    words = (*SEARCH, *TINY, "--space", space, "--latency-table", table)
    reply = nas(*words, "--json")
    assert reply.code == 0, reply.err
    found = json.loads(reply.out, parse_constant=pytest.fail)
    assert (found["baseline"], len(found["pareto"])) == (None, len(front()))
    assert found["hypervolume"] > 0
    assert found["reference_point"][1] >= max(row["latency_ms"] for row in found["pareto"])
    assert all(row["gain"] is None for row in found["pareto"])
    (line,) = (line for line in reply.err.splitlines() if line.startswith("not compared"))
    assert "mobilenet_v1, " in line
    assert line.endswith("without mobilenet_v3_small there are no differences to it")


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("nas.report.plots.draw_front", "the picture"),
        ("nas.cli.search.front_table", "the table of the front"),
        ("nas.cli.search.notes", "the table of the front"),
        ("nas.searching.loop.known_solutions", "known architectures"),
        ("nas.cli.search.left_out", "known architectures"),
        ("nas.searching.loop.result_of", "result.json"),
        ("nas.searching.loop.known_solution", "a comparison with efficientnet_b0"),
    ],
)
def test_a_bug_in_an_extra_of_a_search_costs_nothing(
    nas: Nas,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
    what: str,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(where, broken)
    reply = nas(*SEARCH, "--plot" if what == "the picture" else "--no-plot")
    assert reply.code == 0, reply.err
    assert len(list(Path("run/archs").iterdir())) == len(front()) > 1
    assert Path("run/env.json").is_file()
    said = [line for line in (reply.err + caplog.text).splitlines() if "because of a bug" in line]
    assert len(said) == 1
    assert (
        f"without {what}, because of a bug: ZeroDivisionError: oh (test_results_first.py" in said[0]
    )
    assert "everything is in run" in reply.err


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("nas.report.scale_plots.draw_grid", "the picture"),
        ("nas.cli.scale._tables._cells", "the table of the grid"),
    ],
)
def test_a_bug_in_an_extra_of_a_scaling_search_costs_nothing(
    nas: Nas, monkeypatch: pytest.MonkeyPatch, where: str, what: str
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(where, broken)
    plot = "--plot" if what == "the picture" else "--no-plot"
    words = ("--evaluator", "costs", "--step", "0.2", "--tolerance", "0.3", "--out", "grid", plot)
    reply = nas("scale", "search", "mobilenet_v3_small", *words)
    assert reply.code == 0, reply.err
    assert f"without {what}, because of a bug: ZeroDivisionError" in reply.err
    assert Path("grid/grid.csv").is_file()
    assert json.loads(nas("show", "grid:best", "--json").out)["macs"] > 0
