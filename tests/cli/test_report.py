"""`nas report`: the file of the page, a table of seeds, and mistakes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_search import search

from nas.latency.measure.compare import LatencyCheck

Nas = Callable[..., object]


def test_the_page_lies_in_the_run_folder_or_where_it_is_wanted(nas: Nas) -> None:
    search(trials=30, strategy="random", out="run")
    reply = nas("report", "run")
    assert (reply.code, reply.out) == (0, "")
    assert reply.err.startswith("wrote run/report.html, 1.")
    found = json.loads(nas("report", "run", "--out", "page.html", "--json").out)
    assert (found["run"], found["page"]) == ("run", "page.html")
    assert found["bytes"] == Path("page.html").stat().st_size
    assert Path("page.html").read_bytes() == Path("run/report.html").read_bytes()
    assert nas("search", "--out", "run", "--no-plot").code == 0  # it does not prevent resuming


def test_what_was_measured_stays_in_the_run_folder(
    nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")  # nas latency check imports it
    run = search(trials=30, strategy="random", out="run")
    first = run.solutions[0]
    found = LatencyCheck(
        name=first.name, predicted=first.latency, measured_ms=7.5, measured_low_ms=7.0,
        measured_high_ms=8.0, notes=(),
    )  # fmt: skip
    monkeypatch.setattr("nas.cli.latency.check.check_run", lambda *_, **__: (found,))
    assert nas("latency", "check", "run", "--top", "1", "--json").code == 0
    (kept,) = json.loads(Path("run/measured.json").read_text())["networks"]
    assert (kept["measured_ms"], kept["fingerprint"]) == (7.5, first.arch.fingerprint)
    assert nas("report", "run").code == 0
    assert "Predicted against measured" in Path("run/report.html").read_text()


def test_several_seeds_become_a_table(nas: Nas) -> None:
    for seed in (0, 1):
        search(trials=30, strategy="random", seed=seed, out=f"run{seed}")
    reply = nas("report", "run0", "run1", "--latex")
    assert reply.out.startswith(r"\begin{tabular}")
    found = json.loads(nas("report", "run0", "run1", "--latex", "--json").out)
    assert found["rows"][0]["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing argument 'RUN...'"),
        (("gone",), "gone: No such file or directory"),
        (("a", "b"), "a page is of one run; --latex makes a table of several"),
        (("a", "--latex", "--out", "x"), "a page is of one run"),
        (("a", "--serve", "--port", "70000"), "70000 is not in the range"),
        (("a", "--serve"), "a: No such file or directory"),
        (("a", "--latex"), "a is not a run folder"),
        (("nowhere://b/run",), "nowhere"),
    ],
)
def test_mistakes_are_one_line(nas: Nas, words: tuple[str, ...], message: str) -> None:
    reply = nas("report", *words)
    assert reply.code == 2
    assert message in reply.err
    assert reply.err.count("\n") == 1
