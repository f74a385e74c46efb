"""`nas search --data`: trainings decide, in worker processes, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

Nas = Callable[..., object]
ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny.yaml"
WORDS = (
    *("search", "--space", str(TINY), "--allow-extrapolation", "--no-plot"),
    *("--data", "shapes:count=96,difficulty=0,classes=3", "--strategy", "random"),
    *("--evaluator", "proxy:epochs=2,rungs=2,eta=2,recipe=quick", "--batch", "4", "--json"),
)


def _trained(out: Path) -> list[dict[str, object]]:
    lines = (out / "trainings" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def test_a_search_trains_on_data(nas: Nas) -> None:
    reply = nas(*WORDS, "--trials", "8", "--workers", "2", "--out", "run")
    assert reply.code == 0
    found = json.loads(reply.out)
    assert (found["trials"], found["stopped"], found["failed"]) == (8, 4, 0)
    assert found["accuracy"]["metric"] == "top1_proxy"
    assert "2 epochs of recipe quick" in found["accuracy"]["note"]
    assert all(solution["epochs"] == 2 for solution in found["pareto"])
    assert len(_trained(Path("run"))) == 12
    again = json.loads(nas(*WORDS, "--trials", "8", "--out", "run").out)
    assert again["pareto"] == found["pareto"]


@pytest.mark.parametrize("kills", [(6,), pytest.param((2, 6, 9), marks=pytest.mark.slow)])
def test_a_killed_search_resumes_within_a_rung(
    nas: Nas, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    whole = json.loads(nas(*WORDS, "--trials", "8", "--workers", "1", "--out", "whole").out)
    out = tmp_path / "killed"
    for lines in kills:
        _kill_at(out, lines)
    killed = json.loads(nas(*WORDS, "--trials", "8", "--workers", "1", "--out", str(out)).out)
    assert killed["pareto"] == whole["pareto"]

    def facts(path: Path) -> list[tuple[object, ...]]:
        return [(r["rung"], r["fingerprint"], r["top1"]) for r in _trained(path)]

    assert facts(out) == facts(Path("whole"))


def _kill_at(out: Path, lines: int) -> None:
    """Search in another process, which is killed after `lines` lines of the log."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from nas.cli import main; main()",
            *WORDS,
            "--trials",
            "8",
            "--workers",
            "1",
            "--out",
            str(out),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = out / "trainings" / "log.jsonl"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < lines):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_search_ends_when_its_epochs_are_spent(nas: Nas) -> None:
    words = (*WORDS, "--trials", "40", "--workers", "2", "--out", "run")
    reply = nas(*words, "--max-epochs", "8")
    found = json.loads(reply.out)
    assert (found["trials"], found["finished"], found["spent"]) == (8, True, "max_epochs")
    assert reply.err.splitlines()[-1] == (
        "--max-epochs 8 is used up after 8 of 40 trials; "
        "resume: nas search --out run --max-epochs 20"
    )
    assert nas("status", "run").out.startswith("run: out of budget\ntrials: 8 of 40")
    more = json.loads(nas(*words, "--max-epochs", "14").out)
    assert more["trials"] == 12


def test_a_search_ends_within_a_batch_when_its_time_is_up(nas: Nas) -> None:
    words = (*WORDS, "--trials", "400", "--batch", "400", "--workers", "2", "--out", "run")
    reply = nas(*words, "--max-seconds", "2")
    found = json.loads(reply.out)
    assert (reply.code, found["finished"], found["spent"]) == (0, True, "max_seconds")
    assert max(found["trials"] - 2, 0) % 4 == 0  # two at first; the next four are kept, and resume
    assert 1 <= len(_trained(Path("run"))) <= 6 * (found["trials"] // 4 + 2)
    assert "--max-seconds 2 is used up" in reply.err.splitlines()[-1]


def test_time_that_is_up_before_the_first_trial_is_said(nas: Nas) -> None:
    words = [word.replace("epochs=2", "epochs=300") for word in WORDS]
    one = ("--objective", "max:top1_proxy")
    reply = nas(*words, *one, "--trials", "9", "--out", "run", "--max-seconds", "1")
    found = json.loads(reply.out)
    assert (reply.code, found["trials"], found["spent"]) == (0, 0, "max_seconds")
    assert "--max-seconds 1 is used up after 0 of 9 trials; resume:" in reply.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "digits"), "published does not look at data; to train on digits take --eval"),
        (("--evaluator", "proxy"), "needs data to train on, as in --data imagefolder:/path"),
        (("--evaluator", "proxy", "--data", "imagefolder:/nowhere"), "/nowhere"),
        (("--evaluator", "proxy", "--data", "digit"), "did you mean digits"),
        (("--evaluator", "proxy:epoch=3", "--data", "digits"), "did you mean epochs"),
        (("--workers", "-1"), "workers must be a whole number >= 0"),
        (("--runner", "slurm"), "unknown runner 'slurm'"),
    ],
)
def test_bad_input_is_reported_before_anything_starts(
    nas: Nas, words: tuple[str, ...], message: str
) -> None:
    reply = nas("search", *words, "--out", "run")
    assert reply.code == 2
    assert message in reply.err
    assert len(reply.err.splitlines()) == 1
    assert not Path("run").exists()
