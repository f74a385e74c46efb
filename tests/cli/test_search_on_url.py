"""`nas search --out URL`, and what reads a run there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from small_search import WORDS, search

from nas.searching.runs.folder import find_architecture
from nas.searching.runs.status import read_status

Nas = Callable[..., Any]
ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
TINY = ("--space", str(DATA / "tiny.yaml"), "--allow-extrapolation", "--strategy", "random")
SLOW = ("search", *TINY, "--evaluator", "fakes.plain:delay=0.01", "--batch", "2", "--trials", "80",
        "--no-plot", "--json")  # fmt: skip
TRAINED = ("search", *TINY, "--data", "shapes:count=96,difficulty=0,classes=3", "--no-plot",
           "--evaluator", "proxy:epochs=2,rungs=2,eta=2,recipe=quick", "--batch", "4",
           "--trials", "8", "--json")  # fmt: skip


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep working copies in a folder of the test, and send often."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nas.core.storage.working.SECONDS_BETWEEN_SENDS", 0.05)
    return tmp_path / "cache" / "nas"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return a URL whose content is in the local folder `far`."""
    return f"file://{tmp_path}/far"


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_at_a_url_is_what_it_is_in_a_folder(
    nas: Nas, url: str, cache: Path, tmp_path: Path
) -> None:
    words = ("search", *WORDS, "--strategy", "random", "--trials", "300")
    reply, local = nas(*words, "--out", url), nas(*words, "--out", "near")
    assert (reply.code, reply.out) == (0, local.out)
    assert f"picture: {url}/front.png\neverything is in {url}; next: nas show {url}:best" in (
        reply.err
    )
    assert _files(tmp_path / "far") == _files(tmp_path / "near")
    for name in ("run.yaml", "pareto.csv"):
        assert (tmp_path / "far" / name).read_text() == (tmp_path / "near" / name).read_text()
    assert list(cache.iterdir()) == []


def test_it_resumes_with_nothing_but_the_url(nas: Nas, url: str, tmp_path: Path) -> None:
    nas("search", *WORDS, "--strategy", "random", "--trials", "200", "--seed", "3", "--out", url)
    found = json.loads(nas("search", "--out", url, "--trials", "300", "--json").out)
    assert (found["run"], found["seed"], found["trials"]) == (url, 3, 300)
    other = nas("search", "--out", url, "--trials", "300", "--seed", "4")
    assert other.err == f"error: {url} is the run of another search: its seed is 3, not 4; give " \
        "another --out\n"  # fmt: skip
    left = _files(tmp_path / "far" / "archs")
    assert left == {f"{solution['name']}.yaml" for solution in found["pareto"]}


def test_status_show_and_export_read_from_the_url(nas: Nas, url: str) -> None:
    nas("search", *WORDS, "--strategy", "random", "--trials", "200", "--no-plot", "--out", url)
    status = nas("status", url)
    assert status.out.startswith(f"{url}: finished\ntrials: 200 of 200 (200 ok)\n")
    shown = json.loads(nas("show", f"{url}:3", "--json").out)
    assert shown["name"] == "003"
    assert nas("show", f"{url}:best").code == 0
    exported = json.loads(nas("export", f"{url}:3", "--format", "yaml", "--json").out)
    assert (exported["path"], exported["fingerprint"]) == ("far-3.yaml", shown["fingerprint"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "{url}"), "{url} is a run: name a solution, as in {url}:best"),
        (("show", "{url}:999"), "{url} has solutions 001 to "),
        (("show", "{url}/none:best"), "{url}/none:best: no such file"),
        (("status", "{url}/none"), "{url}/none is not a run folder: it has no run.yaml"),
        (("status", "sea://a"), "sea://a cannot be read: Protocol not known: sea"),
        (("search", "--out", "s3:/a/b"), "s3:/a/b: a URL is given as text, with two slashes"),
        (("search", "--out", "file:///proc/run"), "file:///proc/run cannot be written: "),
        (("search", "--config", "{url}/run.yaml"), "{url}/run.yaml: a URL cannot be used here"),
        (("latency", "bundle", "--out", "s3://a/b"), "s3://a/b: a URL cannot be used here; give a"),
        (("scale", "network", "x", "--out", "s3://a/b"), "s3://a/b: a URL cannot be used here"),
    ],
)
def test_what_cannot_be_is_one_line(
    nas: Nas, url: str, words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    search(strategy="random", trials=50, out=url)
    reply = nas(*(word.format(url=url) for word in words))
    assert reply.code == 2
    assert reply.err.startswith(f"error: {message.format(url=url)}")
    assert len(reply.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"far", "cache"}


def test_a_run_in_memory_is_read_back(tmp_path: Path) -> None:
    url = "memory://runs/first"
    run = search(strategy="random", trials=50, out=url)
    assert run.out == url
    assert run.best is not None
    assert find_architecture(f"{url}:best") == run.best.arch
    status = read_status(url)
    assert (str(status.out), status.state, status.counts["ok"]) == (url, "finished", 50)
    assert search(strategy="random", trials=80, out=url).new == 30


def _start(*words: str) -> subprocess.Popen[bytes]:
    """Search in a process of its own, which sends often."""
    code = "from nas.cli import main; from nas.core.storage import working; "
    code += "working.SECONDS_BETWEEN_SENDS = 0.05; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{DATA}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill_at(lines: int, log: Path, *words: str) -> None:
    """Search in a process of its own, which is killed when a file has so many lines."""
    process = _start(*words)
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < lines):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("is_cache_kept", [True, False])
def test_a_killed_search_resumes_from_the_url(
    nas: Nas, url: str, cache: Path, tmp_path: Path, is_cache_kept: bool
) -> None:
    whole = json.loads(nas(*SLOW, "--out", "whole").out)
    far = tmp_path / "far" / "journal.jsonl"
    for lines in (10, 40):
        _kill_at(lines, far, *SLOW, "--out", url)
        (here,) = cache.glob("far-*/journal.jsonl")
        kept = here.read_bytes()
        assert kept.startswith(far.read_bytes())
        if not is_cache_kept:
            shutil.rmtree(cache)
            kept = far.read_bytes()
    found = json.loads(nas("search", "--allow-plugins", "--out", url, "--no-plot", "--json").out)
    assert found["pareto"] == whole["pareto"]
    assert far.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert list(cache.iterdir()) == []


def test_a_run_that_is_written_elsewhere_is_refused(
    nas: Nas, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    far = tmp_path / "far"
    process = _start(*SLOW, "--trials", "4000", "--out", url)
    while not (far / "heartbeat.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    refused = nas(*SLOW, "--trials", "4000", "--out", url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user"))
    again = nas(*SLOW, "--trials", "4000", "--out", url)
    process.kill()
    process.wait()
    host = socket.gethostname()
    for reply in (refused, again):
        assert reply.code == 2
        assert reply.err.startswith(
            f"error: {url}: another search is writing there, process {process.pid} on {host}; if "
        )
    beat = json.loads((far / "heartbeat.json").read_text()) | {"host": "another"}
    (far / "heartbeat.json").write_text(json.dumps(beat))
    assert "process" in nas(*SLOW, "--out", url).err
    beat["updated"] -= 61
    (far / "heartbeat.json").write_text(json.dumps(beat))
    assert nas(*SLOW, "--trials", "4000", "--max-seconds", "1", "--out", url).code == 0


@pytest.mark.torch
def test_trainings_are_kept_at_the_url(nas: Nas, url: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    whole = json.loads(nas(*TRAINED, "--workers", "1", "--out", "near").out)
    _kill_at(3, tmp_path / "far" / "trainings" / "log.jsonl", *TRAINED, "--workers", "2",
             "--out", url)  # fmt: skip
    found = json.loads(nas(*TRAINED, "--workers", "2", "--out", url).out)
    assert (found["trials"], found["stopped"], found["failed"]) == (8, 4, 0)
    assert found["pareto"] == whole["pareto"]
    far = tmp_path / "far" / "trainings"
    for training in (path for path in (tmp_path / "near" / "trainings").iterdir() if path.is_dir()):
        kept = _files(far / training.name) - {".unsent"}
        assert {name for name in kept if not name.startswith("events")} == {
            name for name in _files(training) if not name.startswith("events")
        }
        assert "metrics.jsonl" in kept
    assert sum("best.safetensors" in _files(path) for path in far.iterdir()) == 4
    trained = next(path for path in far.iterdir() if (path / "best.safetensors").exists())
    scored = nas("eval", f"{url}/trainings/{trained.name}", "--data", TRAINED[7], "--json")
    assert json.loads(scored.out)["top1"] > 0.3
