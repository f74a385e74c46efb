"""`nas search`: its output, its files, and how it is resumed."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_search import WORDS

from nas.searching.config import read_config
from nas.searching.setup import prepare

Nas = Callable[..., object]
SHORT = ("search", *WORDS, "--strategy", "random", "--trials", "300", "--out", "run")


def test_json_is_one_document_with_the_fixed_names(nas: Nas) -> None:
    reply = nas(*SHORT, "--limit", "latency_ms<=120", "--no-plot", "--json")
    assert reply.code == 0
    found = json.loads(reply.out, parse_constant=pytest.fail)
    assert found["schema"] == 1
    assert found["trials"] == 300
    assert found["seconds"] > 0
    assert found["finished"] is True
    assert found["hypervolume"] > 0
    assert found["limit"] == ["latency_ms<=120"]
    names = {"name", "top1_proxy", "latency_ms", "latency_low_ms", "latency_high_ms", "macs",
             "params", "picks", "fingerprint"}  # fmt: skip
    for solution in (*found["pareto"], found["best"], found["baseline"]):
        assert names <= set(solution)
    assert found["best"]["top1_proxy"] == max(m["top1_proxy"] for m in found["pareto"])
    (marked,) = (m for m in found["pareto"] if m.pop("best"))
    assert marked == found["best"]
    assert found["reference_point"] == [0, 120]
    settings = (found["objective"], found["strategy"])
    assert settings == (["max:top1_proxy", "min:latency_ms"], "random")
    assert found["baseline"]["gain"] == 0
    assert all(solution["latency_ms"] <= 120 for solution in found["pareto"])


def test_the_table_goes_to_stdout_and_the_rest_to_stderr(nas: Nas) -> None:
    reply = nas(*SHORT, "--no-plot", "--top", "5")
    setup = prepare(read_config(Path("run/run.yaml")))
    lines = reply.out.splitlines()
    rows, notes = lines[2 : lines.index("")], lines[lines.index("") + 1 :]
    assert re.fullmatch(r"Pareto front: \d+ architectures, [567] shown", lines[0])
    assert len(rows) == 1 + int(lines[0].split()[-2])
    assert sum(row.startswith("efficientnet_b0 ") and " +0.00 " in row for row in rows) == 1
    assert " against efficientnet_b0: " in notes[0]
    assert setup.evaluator.note in notes
    assert f"latency_ms: pixel1, Google Pixel 1, {setup.table.runtime}" in notes
    assert any(note.startswith("latency_ms: swish was never measured here") for note in notes)
    assert not any(line.endswith(" ") for line in lines)
    counts, *where = reply.err.splitlines()
    assert re.fullmatch(r"300 candidates in [\d.]+ s, [\d,]+ a second", counts)
    assert where == [
        "everything is in run; next: nas show run:best, or",
        "nas export run:best --format onnx",
        "all of it on one page: nas report run",
    ]
    assert not Path("run/front.png").exists()


def test_progress_is_a_line_now_and_then_where_stderr_is_no_terminal(
    nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 4)
    monkeypatch.setattr("nas.cli._progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    reply = nas(*SHORT, "--batch", "50", "--no-plot", "--json")
    said = [line for line in reply.err.splitlines() if " of 300 candidates" in line]
    assert 1 <= len(said) <= 3
    assert said[0] == "150 of 300 candidates, about 0:00:12 left"
    assert nas(*SHORT, "--no-plot", "--json").err.splitlines() == reply.err.splitlines()[-3:]


def test_a_folder_alone_continues_its_run(nas: Nas) -> None:
    nas(*SHORT, "--limit", "macs<=300M", "--seed", "5", "--no-plot")
    again = json.loads(nas("search", "--out", "run", "--no-plot", "--json").out)
    assert (again["trials"], again["seed"], again["limit"]) == (300, 5, ["macs<=300M"])
    longer = nas("search", "--out", "run", "--trials", "400", "--no-plot", "--json")
    assert json.loads(longer.out)["trials"] == 400
    assert read_config(Path("run/run.yaml")).trials == 400


def test_the_settings_of_another_run_can_be_taken_over(nas: Nas) -> None:
    nas(*SHORT, "--no-plot")
    reply = nas("search", "--config", "run/run.yaml", "--seed", "9", "--out", "other", "--no-plot")
    assert reply.code == 0
    assert read_config(Path("other/run.yaml")).seed == 9


def test_another_search_in_the_same_folder_is_refused(nas: Nas) -> None:
    nas(*SHORT, "--no-plot")
    front = Path("run/pareto.csv").read_bytes()
    reply = nas("search", "--out", "run", "--seed", "1", "--no-plot")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "run is the run of another search: its seed is 0, not 1; give another" in reply.err
    assert Path("run/pareto.csv").read_bytes() == front


def test_a_folder_of_something_else_is_refused(nas: Nas) -> None:
    Path("thesis").mkdir()
    Path("thesis/main.tex").touch()
    reply = nas("search", "--out", "thesis")
    assert (reply.code, reply.err) == (
        2,
        "error: thesis is not empty and holds no run; give another --out\n",
    )


def test_a_truncated_line_is_dropped_and_said(nas: Nas, caplog: pytest.LogCaptureFixture) -> None:
    nas(*SHORT, "--no-plot")
    front = Path("run/pareto.csv").read_bytes()
    journal = Path("run/journal.jsonl")
    journal.write_bytes(journal.read_bytes()[:-9])
    reply = nas("search", "--out", "run", "--no-plot")
    assert reply.code == 0
    assert "run/journal.jsonl: dropped a last line that was not finished" in caplog.text
    assert Path("run/pareto.csv").read_bytes() == front


def test_without_a_folder_the_same_command_means_the_same_run(nas: Nas) -> None:
    words = ("search", *WORDS, "--strategy", "random", "--no-plot", "--json", "--trials")
    one, again = (json.loads(nas(*words, "50").out) for _ in range(2))
    others = [
        json.loads(nas(*words, *more).out) for more in (("80",), ("20",), ("50", "--seed", "1"))
    ]
    assert (one["run"], one["pareto"]) == (again["run"], again["pareto"])
    assert len({one["run"], *(other["run"] for other in others)}) == 4
    assert [other["trials"] for other in others] == [80, 20, 50]


def test_fewer_trials_than_the_folder_holds_are_refused(nas: Nas) -> None:
    nas(*SHORT, "--no-plot")
    before = {p.name: p.read_bytes() for p in Path("run").iterdir() if p.is_file()}
    reply = nas("search", "--out", "run", "--trials", "100", "--no-plot")
    assert (reply.code, reply.out) == (2, "")
    message = "error: run holds 300 trials already, more than 100; give another --out\n"
    assert reply.err == message
    assert {p.name: p.read_bytes() for p in Path("run").iterdir() if p.is_file()} == before


def test_a_run_yaml_written_by_hand_begins_a_run(nas: Nas) -> None:
    Path("run").mkdir()
    text = "schema: 1\nspace: mnasnet_b0\nlatency_table: pixel2\nlimit: macs<=300M\ntrials: 40\n"
    Path("run/run.yaml").write_text(text)
    found = json.loads(nas("search", "--out", "run", "--no-plot", "--json").out)
    assert (found["trials"], found["limit"]) == (40, ["macs<=300M"])
    resolved = read_config(Path("run/run.yaml"))
    assert resolved.latency_table == "pixel2"
    assert (resolved.strategy, resolved.objective) == (
        "archive",
        ("max:top1_lcb", "min:latency_ms"),
    )


def test_the_best_of_one_objective_is_the_first_and_the_one_to_export(nas: Nas) -> None:
    words = (*SHORT, "--reward", "target=80", "--limit", "activations<=9M", "--no-plot")
    found = json.loads(nas(*words, "--json").out)
    rewards = [solution["reward"] for solution in found["pareto"]]
    assert rewards == sorted(rewards, reverse=True)
    assert found["best"]["reward"] == rewards[0]
    assert found["best"]["top1_proxy"] < max(m["top1_proxy"] for m in found["pareto"])
    assert found["best"]["activations"] <= 9e6
    shown = json.loads(nas("show", "run:best", "--json").out)
    assert shown["fingerprint"] == found["best"]["fingerprint"]
    lines = nas("search", "--out", "run", "--no-plot").out.splitlines()
    assert lines[0] == "The best architectures by reward"
    assert lines[1].split()[-2:] == ["reward", "activations"]
    assert lines[2].split()[-2] == f"{rewards[0]:.6g}"


def test_solutions_of_a_run_are_architectures(nas: Nas) -> None:
    found = json.loads(nas(*SHORT, "--no-plot", "--json").out)
    best = json.loads(nas("show", "run:best", "--json").out)
    assert best["fingerprint"] == found["best"]["fingerprint"]
    assert best["latency_ms"] == pytest.approx(found["best"]["latency_ms"])
    third = json.loads(nas("show", "run:3", "--json").out)
    assert third["fingerprint"] == found["pareto"][2]["fingerprint"]
    assert nas("export", "run:best", "--format", "json", "--out", "best.json").code == 0
    assert json.loads(nas("show", "best.json", "--json").out)["macs"] == best["macs"]
    wrong = nas("show", "run:999")
    assert wrong.code == 2
    assert "run has solutions 001 to " in wrong.err


def test_pictures_of_the_same_run_are_the_same(nas: Nas) -> None:
    pytest.importorskip("matplotlib")
    nas(*SHORT)
    first = [Path(f"run/front.{kind}").read_bytes() for kind in ("png", "svg")]
    assert first[0].startswith(b"\x89PNG")
    assert b"<svg" in first[1]
    assert b"efficientnet_b0" in first[1] or b"efficientnet" in first[1]
    nas("search", "--out", "run")
    assert [Path(f"run/front.{kind}").read_bytes() for kind in ("png", "svg")] == first


def test_nothing_that_satisfies_the_constraints_is_reported(nas: Nas, fakes_path: Path) -> None:
    words = ("search", "--space", str(fakes_path / "tiny.yaml"), "--evaluator", "fakes.plain",
             "--strategy", "random", "--allow-extrapolation", "--limit", "top1>=0.99",
             "--trials", "20", "--out", "run")  # fmt: skip
    reply = nas(*words)
    assert (reply.code, reply.out) == (0, "")
    assert "none of 20 trials satisfied the constraints" in reply.err
    found = json.loads(nas(*words, "--json").out, parse_constant=pytest.fail)
    assert (found["pareto"], found["best"], found["hypervolume"]) == ([], None, 0.0)
    assert "the front of run is empty" in nas("show", "run:best").err


def test_a_malformed_space_is_named_with_line_and_key(nas: Nas, fakes_path: Path) -> None:
    text = (fakes_path / "tiny.yaml").read_text(encoding="utf-8")
    Path("mine.yaml").write_text(text.replace("kernel: [3, 5]}", "kernel: [3, 4]}", 1))
    reply = nas("search", "--space", "mine.yaml")
    assert reply.code == 2
    assert reply.err == "error: mine.yaml: stages.0, line 10: kernel must be odd, not 4\n"


def test_a_table_that_does_not_cover_the_space_is_reported(nas: Nas, fakes_path: Path) -> None:
    words = ("search", "--space", str(fakes_path / "tiny.yaml"), "--evaluator", "fakes.plain")
    reply = nas(*words, "--trials", "5")
    assert (reply.code, len(reply.err.splitlines())) == (2, 1)
    assert "latency table pixel1 does not cover space tiny: " in reply.err
    assert "--allow-extrapolation" in reply.err
    assert nas(*words, "--trials", "5", "--allow-extrapolation", "--no-plot").code == 0


def test_every_flag_has_a_key_in_run_yaml(nas: Nas) -> None:
    text = nas("search", "--help").out
    for name in read_config_names():
        assert f"--{name.replace('_', '-')}" in text


def read_config_names() -> tuple[str, ...]:
    from nas.searching.config import SearchConfig

    return tuple(field.name for field in fields(SearchConfig))  # without the hidden era


def test_memory_is_a_constraint_and_a_column(nas: Nas) -> None:
    words = ("search", "--space", "mobilenetv3", "--trials", "200", "--no-plot", "--out", "run")
    reply = nas(*words, "--limit", "size_mb<=20", "--limit", "peak_mb<=3")
    assert reply.code == 0, reply.err
    assert reply.out.splitlines()[1].endswith("size_mb  peak_mb")
    assert "size_mb, peak_mb: of weights, of activations at most, in fp32" in reply.out
    unreachable = nas(*words, "--limit", "peak_mb<=0.1")
    assert "constraint peak_mb<=0.1 cannot be satisfied: peak_mb in space mob" in unreachable.err


def test_units_of_a_space_with_too_many_are_not_all_measured(nas: Nas) -> None:
    reply = nas("search", "--on-missing", "measure", "--trials", "10", "--out", "run")
    assert (reply.code, reply.err.count("\n")) == (2, 1)
    assert "too many units to measure them all; its table models" in reply.err
    assert "--on-missing model" in reply.err
    assert not Path("run").exists()


def test_a_search_for_detectors_says_what_it_searched(nas: Nas) -> None:
    words = ("search", "--task", "detection", "--head", "ssdlite:resolution=320", "--no-plot")
    reply = nas(*words, "--space", "mobilenetv3", "--trials", "40", "--out", "run")
    assert reply.code == 0
    assert "task: detection (detectors: ssdlite:resolution=320 on mobilenetv3)" in reply.out
    assert "top1: ImageNet top-1 of the backbone as a classifier at 224 px" in reply.out
    assert "ssdlite:mobilenet_v3_large" in reply.out
    assert "task: detection, head ssdlite:resolution=320" in nas("status", "run").out
    shown = json.loads(nas("show", "run:best", "--json").out)
    assert shown["detector"]["classes"] == 90


def test_a_head_without_its_task_is_refused(nas: Nas) -> None:
    reply = nas("search", "--head", "ssdlite")
    assert reply.code == 2
    assert "--head ssdlite makes detectors" in reply.err
    assert "--task detection" in reply.err
