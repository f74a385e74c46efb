"""`nas pipeline`: the bundled experiment made smaller, its report, a kill, and mistakes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from nas.cli import main  # noqa: E402
from nas.core.storage import Place  # noqa: E402
from nas.network.checkpoint import load_checkpoint  # noqa: E402
from nas.pipeline.config import STAGES, read_pipeline  # noqa: E402
from nas.pipeline.summary import read_summary  # noqa: E402
from nas.searching.runs.folder import find_architecture  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

Nas = Callable[..., Any]
ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "pipeline" / "run.yaml"
GIVEN = tuple(stage for stage in STAGES if stage != "quantize")
"""The stages that the example has sections for."""
CODE = "from nas.cli import main\nif __name__ == '__main__':\n    main()"


def smaller(path: Path, **changes: Any) -> Path:
    """Write the experiment's file with a smaller space and shorter trainings; return `path`."""
    asked = yaml.safe_load(EXPERIMENT.read_text())
    asked["search"] |= {
        "space": str(ROOT / "tests" / "data" / "tiny.yaml"),
        "evaluator": "proxy:epochs=1,rungs=1",
        "limit": ["latency_ms<=0.35"],
        "trials": 4,
    }
    asked["train"] |= {"epochs": 2}
    asked["netadapt"] |= {"target_ms": 0.2, "step": "15%", "steps": 1, "final_epochs": 1}
    asked["scale"] = {"epochs": 1, "networks": {"narrow": {"width": 0.5}}}
    asked["export"] = {"format": ["onnx", "yaml"]}
    asked["measure_rounds"] = 0
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            asked[section][key] = value
        else:
            asked[section] = value
    path.write_text(yaml.safe_dump(asked, sort_keys=False))
    return path


def lasting(document: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal however often a run was killed."""
    left = {k: v for k, v in document.items() if k not in ("run", "seconds", "stages", "measured")}
    left["networks"] = [
        {k: v for k, v in network.items() if not k.startswith("measured_")}
        for network in document["networks"]
    ]
    return left


def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report" / "result.json").read_text())
    return found


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an uninterrupted run in `out`."""
    folder = tmp_path_factory.mktemp("whole")
    config = smaller(folder / "run.yaml", measure_rounds=2)
    torch.set_num_threads(1)
    words = ["nas", "pipeline", str(config), "--out", str(folder / "out")]
    with (
        patch.object(sys, "argv", words),
        (folder / "stdout").open("w") as out,
        (folder / "stderr").open("w") as err,
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        main()
    assert not left.value.code, (folder / "stderr").read_text()
    return folder


def start(config: Path, out: Path, **pipes: Any) -> subprocess.Popen[bytes]:
    script = config.parent / "run_nas.py"
    script.write_text(CODE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, str(script), "pipeline", str(config), "--out", str(out))
    return subprocess.Popen(command, env=environment, **pipes)


def test_the_report_has_a_row_for_each_network_and_all_files(whole: Path) -> None:
    out = whole / "out"
    found = result(out)
    found_, trained, pruned, narrow = found["networks"]
    parts = [network["part"] for network in found["networks"]]
    assert parts == ["found", "trained", "pruned", "scaled"]
    assert found_["fingerprint"] == trained["fingerprint"]
    assert pruned["latency_ms"] <= 0.2 < trained["latency_ms"] <= 0.35
    assert narrow["macs"] < pruned["macs"] < trained["macs"]
    assert 0 < found_["top1_proxy"] <= 1
    assert found_["top1"] is None
    for network in (trained, pruned, narrow):
        assert 0 < network["top1"] <= 1
        assert 0 < network["test"] <= 1
    for network in found["networks"]:
        assert find_architecture(f"{out}:{network['name']}").fingerprint == network["fingerprint"]
    assert load_checkpoint(str(out)).arch.fingerprint == pruned["fingerprint"]
    done = read_summary(Place(out))
    assert done
    assert (done.state, list(done.facts["done"])) == ("finished", [*GIVEN, "measure"])
    for file in found["exported"]:
        assert (out / file["path"]).stat().st_size == file["bytes"]
    named = {(file["network"], file["format"]) for file in found["exported"]}
    assert named == {(n, f) for n in ("pruned", "narrow") for f in ("onnx", "yaml")}
    assert [stage["stage"] for stage in found["stages"]][:5] == list(GIVEN)


def test_the_page_stands_for_itself(whole: Path) -> None:
    page = (whole / "out" / "report" / "index.html").read_text()
    for word in ("found", "trained", "pruned", "scaled: narrow", "export/pruned.onnx", "trials: 4"):
        assert word in page
    pytest.importorskip("matplotlib")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert body.count("data:image/png;base64,") == 1
    assert body.count("data-front=") == 1
    assert body.count("data-chart=") >= 4  # hypervolume, curves, rounds
    assert 'src="' not in body.replace('src="data:', "")
    assert "href" not in body.replace('href="#', "")


def test_what_was_measured_stands_beside_what_was_predicted(whole: Path) -> None:
    pytest.importorskip("onnxruntime")
    found = result(whole / "out")
    assert found["measured"]["threads"] == 1
    for network in found["networks"]:
        assert 0 < network["measured_low_ms"] <= network["measured_ms"]
    assert any("of another device" in note for note in found["notes"])


def test_the_terminal_shows_the_stages_and_the_table(whole: Path) -> None:
    shown = (whole / "stdout").read_text().splitlines()
    assert [line.split()[0].strip(":") for line in shown[2:]] == [
        "found", "trained", "pruned", "scaled",
    ]  # fmt: skip
    said = (whole / "stderr").read_text()
    assert [said.index(f"{stage} ...") for stage in GIVEN] == sorted(
        said.index(f"{stage} ...") for stage in GIVEN
    )


def test_exported_weights_are_those_of_the_line(whole: Path) -> None:
    import onnx

    model = onnx.load(whole / "out" / "export" / "pruned.onnx")
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert float(said["top1"]) == result(whole / "out")["networks"][2]["top1"]


KILLS = {"search/trainings/log.jsonl": 3, "netadapt/journal.jsonl": 6, "pipeline.jsonl": 4}
"""Where a run is killed: after so many lines of a journal."""


@pytest.mark.parametrize(
    ("journals", "finished"),
    [
        (["netadapt/journal.jsonl"], "train"),
        pytest.param(list(KILLS), "netadapt", marks=pytest.mark.slow),
    ],
    ids=["once", "in every stage"],
)
def test_a_run_that_was_killed_comes_to_the_same(
    nas: Nas, whole: Path, tmp_path: Path, journals: list[str], finished: str
) -> None:
    config, out = smaller(tmp_path / "run.yaml"), tmp_path / "out"
    for journal in journals:
        with start(config, out, stderr=subprocess.DEVNULL) as process:
            while lines(out / journal) < KILLS[journal] and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    reply = nas("pipeline", str(config), "--out", str(out))
    assert reply.code == 0, reply.err
    assert f"{finished}: finished before" in reply.err
    here, there = lasting(result(out)), lasting(result(whole / "out"))
    for document in (here, there):
        document["asked"].pop("measure_rounds")
        document["notes"] = [note for note in document["notes"] if "measured_ms" not in note]
    assert here == there


def test_a_finished_run_only_writes_its_report_again(
    nas: Nas, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.pipeline.run.STAGE_FUNCTIONS", dict.fromkeys(STAGES))
    reply = nas("pipeline", str(whole / "run.yaml"), "--out", str(whole / "out"), "--json")
    assert reply.code == 0, reply.err
    assert json.loads(reply.out) == result(whole / "out")
    assert "train: finished before" in reply.err
    own = whole / "out" / "pipeline.yaml"
    again, asked = read_pipeline(own), read_pipeline(whole / "run.yaml")
    assert again == replace(asked, out=str(whole / "out"))


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("seed", 1, "seed was 0, not 1"),
        ("train__epochs", 3, "train.epochs was 2, not 3"),
        ("netadapt__target_ms", 0.19, "netadapt.target_ms was 0.2, not 0.19"),
        ("search__trials", 5, "search.trials was 4, not 5"),
        ("export__format", ["onnx"], "export.format was ['onnx', 'yaml'], not ['onnx']"),
    ],
)
def test_other_settings_of_finished_stages_are_refused(
    nas: Nas, whole: Path, tmp_path: Path, name: str, value: Any, key: str
) -> None:
    config = smaller(tmp_path / "run.yaml", **{"measure_rounds": 2, name: value})
    reply = nas("pipeline", str(config), "--out", str(whole / "out"))
    assert reply.code == 2
    assert key in reply.err
    assert "give another --out" in reply.err
    assert reply.err.count("\n") == 1


def test_a_target_that_cannot_be_reached_is_known_before_the_training_and_can_be_mended(
    nas: Nas, tmp_path: Path
) -> None:
    short = {"search__trials": 2, "search__evaluator": "proxy:epochs=1,rungs=1"}
    few = {"netadapt__steps": 0, "netadapt__final_epochs": 0, "netadapt__epochs": 0}
    reply = nas(
        "pipeline",
        str(smaller(tmp_path / "run.yaml", **short, **few, netadapt__target_ms=0.0001)),
        *("--out", "out"),
    )
    assert reply.code == 2
    assert "error: pruning can reach" in reply.err
    assert not Path("out/train").exists()
    easy = smaller(tmp_path / "run.yaml", **short, **few, netadapt__target_ms=0.2, train__epochs=1)
    reply = nas("pipeline", str(easy), "--out", "out")
    assert reply.code == 0, reply.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainn": {}}, "unknown key 'trainn'; did you mean train"),
        ({"train__epoch": 3}, "unknown key 'epoch'; did you mean epochs"),
        ({"train__epochs": "many"}, "epochs must be a whole number >= 0, not 'many'"),
        ({"train__recipe": "adam"}, "unknown recipe 'adam'; did you mean adamw?"),
        ({"train__arch": "worst"}, "arch is best or the number of a solution"),
        ({"search__data": "digits"}, "unknown key 'data'"),
        ({"search__space": "mbcon"}, "did you mean mbconv, "),
        (
            {"search__limit": ["latency_ms<=0.001"]},
            "latency_ms<=0.001 cannot be satisfied",
        ),
        ({"data": "digit"}, "did you mean digits"),
        ({"latency_table": "pixel9"}, "did you mean pixel"),
        ({"netadapt": {"step": "8%"}}, "missing target_ms"),
        ({"netadapt__step": "3M"}, "a step of 3M needs --by macs"),
        ({"netadapt__target_ms": 0.4}, "is not below the search's limit latency_ms<=0.35"),
        ({"netadapt__runner": "locl"}, "did you mean local?"),
        ({"scale__networks": {"a": {"width": 2.0, "phi": 1}}}, "leave out --width"),
        ({"scale__networks": {"a": {"phi": 40}}}, "needs about"),
        ({"scale__networks": {"a": {}}}, "say how to scale"),
        ({"scale__networks": {"../a": {"phi": 1}}}, "a network is named by letters"),
        ({"export__format": ["onxx"]}, "unknown exporter 'onxx'; did you mean onnx"),
        ({"device": "tpu!"}, "unknown device 'tpu!'"),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    nas: Nas, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = smaller(tmp_path / "run.yaml", **change)
    reply = nas("pipeline", str(config), "--out", "never")
    assert reply.code == 2, reply.err
    assert message in reply.err
    assert reply.err.startswith("error: ")
    assert reply.err.count("\n") == 1
    assert not Path("never").exists()


def test_a_mistake_in_the_file_names_its_line(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "schema: 1\ndata: digits\nlatency_table: pixel1\nsearch: {}\ntrain:\n  recipe: quick\n"
        "  epocs: 3\n"
    )
    reply = nas("pipeline", "run.yaml")
    assert reply.err == (
        "error: run.yaml, train, line 7: unknown key 'epocs'; did you mean epochs?\n"
    )
    (tmp_path / "run.yaml").write_text("schema: 1\ndata: digits\nsearch: {}\n")
    reply = nas("pipeline", "run.yaml")
    assert reply.err == "error: run.yaml, line 1: missing latency_table, train\n"


def test_another_folder_is_left_alone(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    reply = nas("pipeline", str(smaller(tmp_path / "run.yaml")), "--out", "mine")
    assert reply.err == "error: mine is not empty and holds no pipeline; give another --out\n"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_the_experiment_is_a_valid_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.pipeline.inputs import load_inputs

    monkeypatch.chdir(ROOT)
    asked = read_pipeline(EXPERIMENT)
    assert all(getattr(asked, stage) is not None for stage in GIVEN)
    assert load_inputs(asked).data.name == "digits"
