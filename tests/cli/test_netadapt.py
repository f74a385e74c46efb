"""`nas netadapt`: a pruning from the command line, its numbers, its errors, and kills."""

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

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nas.core.data import to_yaml  # noqa: E402
from nas.latency.file import load_table  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

Nas = Callable[..., Any]
ROOT = Path(__file__).parents[2]

SMALL = {
    "schema": 1,
    "name": "small",
    "resolution": 32,
    "stem": [{"kind": "conv", "in_channels": 3, "out_channels": 16, "kernel": 3, "stride": 4}],
    "stages": [
        [
            {"kind": "mbconv", "in_channels": 16, "out_channels": 24, "hidden_channels": 64,
             "kernel": 3, "stride": 2, "se_channels": 16},
        ]
    ],
    "head": [
        {"kind": "conv", "in_channels": 24, "out_channels": 48},
        {"kind": "pool", "in_channels": 48, "out_channels": 48},
        {"kind": "linear", "in_channels": 48, "out_channels": 10, "act": "none"},
    ],
}  # fmt: skip
TARGET = 0.7
WORDS = ("--latency-table", "pixel1", "--data", "digits", "--step", "8%", "--steps", "2",
         "--final-epochs", "1", "--device", "cpu")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nas.training.data import load_data
    from nas.training.recipes import adapt, quick
    from nas.training.run import train

    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(to_yaml(SMALL))
    arch = load_architecture(folder / "small.yaml")
    torch.set_num_threads(1)
    train(arch, load_data("digits"), adapt(quick(), epochs=2), out=folder / "run")
    return folder


@pytest.fixture(scope="module")
def target_ms(trained: Path) -> float:
    arch = load_architecture(trained / "small.yaml")
    return TARGET * load_table("pixel1").predict(arch).ms


def words(target_ms: float) -> tuple[str, ...]:
    return (*WORDS, "--target-ms", repr(target_ms))


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("oh")


def test_a_pruning_says_what_it_did_and_leaves_a_network_that_others_take(
    nas: Nas, trained: Path, target_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    run = str(trained / "run")
    reply = nas("netadapt", run, *words(target_ms), "--measure-rounds", "2", "--out", "p", "--json")
    assert reply.code == 0, reply.err
    found = json.loads(reply.out)
    assert list(found) == ["schema", "run", "start", "rounds", "best", "measured"]
    for part in (found["start"], *found["rounds"], found["best"]):
        assert {"latency_ms", "macs", "params", "top1"} <= set(part)
        assert 0 < part["top1"] <= 1
    assert found["best"]["latency_ms"] <= target_ms < found["start"]["latency_ms"]
    assert found["measured"]["speedup"] == pytest.approx(
        found["measured"]["start_ms"] / found["measured"]["best_ms"]
    )
    assert json.loads(Path("p/result.json").read_text()) == found
    assert reply.err.count("\nround ") + reply.err.startswith("round ") == len(found["rounds"])

    for name in ("p", "p:best", "p/final.safetensors"):
        scored = json.loads(nas("eval", name, "--data", "digits", "--json").out)
        assert scored["top1"] == found["best"]["top1"]
        exported = nas("export", name, "--out", "x.onnx")
        assert "with the weights of p/final.safetensors" in exported.err
        shown = nas("show", name, "--json")
        assert json.loads(shown.out)["params"] == found["best"]["params"]
    status = json.loads(nas("status", "p", "--json").out)
    assert (status["kind"], status["state"]) == ("netadapt", "finished")
    assert (status["rounds"], status["top1"]) == (len(found["rounds"]), found["best"]["top1"])

    monkeypatch.setattr("nas.cli.netadapt.measure_speedup", broken)
    monkeypatch.setattr("nas.report.netadapt_plots.draw_rounds", broken)
    again = nas("netadapt", run, *words(target_ms), "--measure-rounds", "2", "--out", "p")
    assert again.code == 0
    for what in ("a measurement on this machine", "the pictures"):
        assert f"without {what}, because of a bug: ZeroDivisionError: oh" in again.err
    assert json.loads(Path("p/result.json").read_text()) == {**found, "measured": None}
    lines = again.out.splitlines()
    assert lines[0].startswith("round 1: ")
    assert lines[-1].startswith("share left")


def test_the_measured_speed_up_leads_the_report(
    nas: Nas, trained: Path, target_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.latency.measure.estimates import Estimate
    from nas.latency.measure.speedup import Speedup

    two, one = (Estimate(ms=ms, low_ms=0.9 * ms, high_ms=1.1 * ms, rounds=4) for ms in (2.0, 1.0))
    speedup = Speedup(
        before=two, after=one, runtime="onnxruntime 1", threads=1, dtype="fp32", cpu="a CPU"
    )
    monkeypatch.setattr("nas.cli.netadapt.measure_speedup", lambda *_, **__: speedup)
    easy = ("--target-ms", repr(target_ms / TARGET * 0.93), "--final-epochs", "0")
    reply = nas("netadapt", str(trained / "run"), *WORDS, *easy, "--out", "p")
    assert reply.code == 0, reply.err
    after_rounds = [line for line in reply.out.splitlines() if not line.startswith("round ")]
    assert after_rounds[0] == (
        "measured: 2.00 times as fast (1.64 - 2.44): 2 ms -> 1 ms with onnxruntime 1, "
        "1 thread(s), fp32, on a CPU"
    )
    assert "of another device" in reply.err


@pytest.mark.parametrize(
    ("arch", "more", "message"),
    [
        ("small.yaml", (), "small.yaml is not trained, and pruning needs weights; train it first"),
        ("mobilenet_v1", ("--weights", "run"), "has weights of small, not of mobilenet_v1: stem.0"),
        ("run", ("--target-ms", "0.001"), "pruning can reach"),
        ("run", ("--target-ms", "500"), "is not below the"),
        ("run", ("--step", "3M"), "needs --by macs"),
        ("run", ("--prune", "hidden,tail"), "unknown kind of channels 'tail'"),
        ("run", ("--data", "shapes:count=40,classes=4"), "tells 10 classes of digits apart"),
        ("run", ("--latency-table", "pixel9"), "did you mean"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_any_work(
    nas: Nas, trained: Path, monkeypatch: pytest.MonkeyPatch, arch: str, more: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(trained)
    reply = nas("netadapt", arch, *words(0.03), "--out", "never", *more)
    assert reply.code == 2
    assert reply.err.startswith("error: ")
    assert message in reply.err
    assert reply.err.count("\n") == 1
    assert not (trained / "never").exists()


def test_a_run_of_earlier_defaults_is_continued_with_what_it_had(
    nas: Nas, trained: Path, target_ms: float, tmp_path: Path
) -> None:
    """A folder from before a setting existed resumes with the command of that time."""
    easy = ("--target-ms", repr(target_ms / TARGET * 0.93), "--measure-rounds", "0")
    run, out = str(trained / "run"), tmp_path / "p"
    command = ("netadapt", run, *WORDS, *easy, "--final-epochs", "0", "--out", str(out))
    old = ("--importance", "l1", "--shortlist", "0", "--lr", "0.001", "--prune", "hidden,head")
    first = nas(*command, *old)
    assert first.code == 0, first.err
    file = out / "run.yaml"
    file.write_text(file.read_text().replace("  shortlist: 0\n", ""))
    again = nas(*command)
    assert again.code == 0, again.err
    assert again.out == first.out
    other = nas(*command, "--shortlist", "4")
    assert (other.code, "settings.shortlist is 0, not 4" in other.err) == (2, True)
    assert "recipe.lr is 0.001, not 0.004" in nas(*command, "--lr", "0.004").err
    file.write_text(file.read_text().replace("importance: l1", "importance: [1]"))
    assert "settings.importance is" in nas(*command).err


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_with_the_missing_proposals(
    nas: Nas, trained: Path, target_ms: float, tmp_path: Path, workers: str
) -> None:
    out = tmp_path / "p"
    code = "from nas.cli import main\nif __name__ == '__main__':\n    main()"
    (tmp_path / "run_nas.py").write_text(code)
    command = ("netadapt", str(trained / "run"), *words(target_ms), "--measure-rounds", "0",
               "--workers", workers, "--out", str(out), "--json")  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    python = (sys.executable, str(tmp_path / "run_nas.py"))
    with subprocess.Popen([*python, *command], env=environment) as process:
        while tried(out) < 7 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    before = tried(out)
    reply = nas(*command)
    assert reply.code == 0, reply.err
    found = json.loads(reply.out)
    assert sum(one["tried"] for one in found["rounds"]) == tried(out)
    keys = [
        (line["round"], line["tried"]["group"]) for line in journal(out) if "tried" in line
    ]  # nothing was tried twice
    assert len(set(keys)) == len(keys) >= before >= 7


def journal(out: Path) -> list[dict[str, Any]]:
    path = out / "journal.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


def tried(out: Path) -> int:
    return sum("tried" in line for line in journal(out))
