"""`nas scale` and `nas scale search`."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.latency.file import load_table
from nas.network.cost import cost
from nas.network.zoo import load_architecture

Nas = Callable[..., Any]


@pytest.mark.parametrize("phi", range(1, 8))
def test_published_members_equal_the_zoo(nas: Nas, phi: int) -> None:
    words = ("--phi", str(phi), "--published", "--out", "b.yaml", "--json")
    found = json.loads(nas("scale", "efficientnet_b0", *words).out)
    published = load_architecture(f"efficientnet_b{phi}")
    assert load_architecture("b.yaml") == published
    assert found["after"]["fingerprint"] == published.fingerprint
    assert found["after"]["macs"] == cost(published).macs
    assert found["before"]["macs"] == cost(load_architecture("efficientnet_b0")).macs


def test_what_is_written_is_taken_by_show_and_export(nas: Nas) -> None:
    nas("scale", "mobilenet_v2", "--width", "1.4", "--out", "wide.yaml")
    wide = json.loads(nas("show", "wide.yaml", "--json").out)
    assert wide["fingerprint"] == load_architecture("mobilenet_v2@1.4").fingerprint
    assert wide["name"] == "mobilenet_v2-w1.4"
    assert nas("export", "wide.yaml", "--out", "wide.json").code == 0


def test_before_and_after_stand_side_by_side(nas: Nas) -> None:
    words = ("--depth", "2", "--resolution", "112", "--latency-table", "pixel1")
    reply = nas("scale", "efficientnet_b0", *words)
    rows = {line[:26].strip(): line[26:].split() for line in reply.out.splitlines()[2:]}
    assert rows["resolution"] == ["224", "112", "0.50"]
    before, after = (float(text) for text in rows["latency ms"][:2])
    assert before == pytest.approx(load_table("pixel1").predict(_b0()).ms, abs=0.01)
    assert after < before
    assert rows["blocks"] == [*"12233412446682"]
    assert "swish was never measured" in reply.err


def _b0() -> Any:
    return load_architecture("efficientnet_b0")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--phi nan", "phi must be a finite number"),
        ("--phi 60", "at phi60 needs about"),
        ("--phi 1e9", "beyond all bounds"),
        ("--width 0", "width must be a finite number above 0"),
        ("--depth -1", "depth must be a finite number above 0"),
        ("--resolution nan", "resolution must be a finite number above 0"),
        ("--resolution inf", "resolution must be a finite number above 0"),
        ("--width 0.01", "take 0.0625 or more"),
        ("--phi 2.5 --published", "there are 0 to 7"),
        ("", "say how to scale"),
        ("--phi 1 --memory 0", "--memory must be a number of GiB above 0"),
    ],
)
def test_bad_input_is_one_line(nas: Nas, words: str, message: str) -> None:
    reply = nas("scale", "efficientnet_b0", *words.split())
    assert reply.code == 2
    assert message in reply.err
    assert len(reply.err.splitlines()) == 1


def test_unknown_names_have_close_matches(nas: Nas) -> None:
    assert "did you mean mobilenet_v2" in nas("scale", "mobilenet_v22", "--phi", "1").err
    reply = nas("scale", "search", "efficientnet_b0", "--evaluator", "trian", "--out", "x")
    assert "did you mean train?" in reply.err


def test_memory_can_be_that_of_another_machine(nas: Nas) -> None:
    words = ("scale", "efficientnet_b0", "--phi", "3", "--memory")
    assert nas(*words, "0.1").code == 2
    assert nas(*words, "1").code == 0


def test_help_tells_of_the_search(nas: Nas) -> None:
    assert "nas scale search --help" in nas("scale", "--help").out
    assert "--tolerance" in nas("scale", "search", "--help").out


def test_search_by_costs_gives_the_whole_grid(nas: Nas) -> None:
    words = ("--evaluator", "costs", "--by", "formula", "--out", "run", "--json")
    found = json.loads(nas("scale", "search", "efficientnet_b0", *words).out)
    assert len(found["points"]) == 111
    for point in found["points"]:
        formula = point["alpha"] * point["beta"] ** 2 * point["gamma"] ** 2
        assert formula == pytest.approx(2, abs=0.1 + 1e-6)
        assert abs(point["predicted_macs"] / point["macs"] - 1) < 0.05
        assert (point["error"], point["latency_ms"]) == ("", None)
    with Path("run/grid.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 111
    assert Path("run/grid.png").stat().st_size > 10_000


def test_the_best_of_a_search_can_be_scaled_by_the_line_it_says(nas: Nas) -> None:
    words = ("--evaluator", "costs", "--step", "0.2", "--out", "run", "--no-plot")
    reply = nas("scale", "search", "mobilenet_v2", *words)
    line = next(x for x in reply.err.splitlines() if x.startswith("nas scale"))
    assert nas(*line.split()[1:]).code == 0
    assert load_architecture("scaled.yaml").fingerprint in Path("run/grid.csv").read_text()


def test_a_budget_of_latency_is_kept(nas: Nas) -> None:
    words = ("--by", "latency", "--latency-table", "pixel1", "--step", "0.1", "--json")
    found = json.loads(
        nas("scale", "search", "mobilenet_v2", *words, "--evaluator", "costs", "--out", "r").out
    )
    base = load_table("pixel1").predict(load_architecture("mobilenet_v2")).ms
    assert found["points"]
    for point in found["points"]:
        assert point["latency_ms"] / base == pytest.approx(2, abs=0.1)


def test_a_search_says_whether_it_compares_at_equal_cost(nas: Nas) -> None:
    words = ("scale", "search", "mobilenet_v2@0.5-96", "--evaluator", "costs", "--no-plot")
    equal = nas(*words, "--out", "equal", "--step", "0.1").err
    assert "compared at equal cost: their counted MACs are 1.9" in equal
    unequal = nas(*words, "--out", "unequal", "--by", "formula", "--step", "0.1").err
    assert "NOT compared at equal cost: the counted MACs are 1.89 to 3.56" in unequal
    assert "--by macs or --by latency" in unequal


def test_a_surrogate_that_does_not_know_the_networks_says_so(nas: Nas) -> None:
    words = ("--evaluator", "surrogate", "--out", "run")
    reply = nas("scale", "search", "efficientnet_b0", *words)
    assert reply.code == 2
    assert "--evaluator train or costs" in reply.err


TINY = """\
schema: 1
name: tiny
resolution: 24
stem:
- {kind: conv, in_channels: 3, out_channels: 16, kernel: 3, stride: 2}
stages:
- - {kind: mbconv, in_channels: 16, out_channels: 24, hidden_channels: 48, kernel: 3, stride: 2}
head:
- {kind: pool, in_channels: 24, out_channels: 24}
- {kind: linear, in_channels: 24, out_channels: 10, act: none}
"""
TRAIN = (
    *("scale", "search", "tiny.yaml", "--evaluator", "train", "--data", "digits", "--epochs", "1"),
    *("--train-resolution", "12", "--step", "0.2", "--out", "run", "--no-plot", "--json"),
    *("--by", "formula"),  # by which the grid of so small a network has six points
)


@pytest.mark.torch
def test_a_search_killed_while_training_resumes(nas: Nas, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    Path("tiny.yaml").write_text(TINY)
    journal = tmp_path / "run" / "grid.jsonl"
    code = "from nas.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *TRAIN], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = [json.loads(line) for line in journal.read_bytes().splitlines(keepends=True)[1:3]]
    found = json.loads(nas(*TRAIN).out)
    lines = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert lines[:2] == before
    names = [line["fingerprint"] for line in lines]
    assert len(names) == len(set(names)) == 6
    scores = [point["top1_proxy"] for point in found["points"]]
    assert scores == sorted(scores, reverse=True)
    assert found["best"] == found["points"][0]
    again = nas(*TRAIN)
    assert json.loads(again.out) == found
    assert len(journal.read_text().splitlines()) == 7


@pytest.mark.torch
def test_training_needs_data_and_a_resolution_that_fits(nas: Nas) -> None:
    pytest.importorskip("torch")
    words = ("scale", "search", "mobilenet_v2", "--evaluator", "train", "--out", "run")
    assert "--evaluator train needs --data" in nas(*words).err
    more = ("--data", "digits", "--train-resolution", "8", "--step", "0.2")
    assert "resolution of 8 is too small" in nas(*words, *more).err
