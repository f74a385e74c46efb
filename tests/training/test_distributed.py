"""`nas train --workers`: data-parallel training on a Ray cluster of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")  # it comes with Ray

from nas.core.errors import NasError  # noqa: E402  # skipped above where there is no Ray
from nas.core.storage import Place  # noqa: E402
from nas.core.workers.join import Need  # noqa: E402
from nas.network.multipliers import scale_resolution  # noqa: E402
from nas.network.zoo import load_architecture  # noqa: E402
from nas.training import distributed as training  # noqa: E402
from nas.training.data import load_data  # noqa: E402
from nas.training.job import TrainingJob  # noqa: E402
from nas.training.recipe_files import find_recipe  # noqa: E402
from nas.training.recipes import adapt  # noqa: E402
from nas.training.run import plan  # noqa: E402

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:`use_:DeprecationWarning:ray"),  # Ray's own
]

Nas = Callable[..., Any]
ROOT = Path(__file__).parents[2]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
WORDS = ("train", "mobilenet_v3_small@0.35", "--data", "digits", "--recipe", "quick",
         "--resolution", "32", "--json")  # fmt: skip


def _group_of(count: int) -> Any:
    return training.Workers(count=count, need=Need(cpus=1, gpus=0))


def _job(**changes: Any) -> TrainingJob:
    arch = scale_resolution(load_architecture("mobilenet_v3_small@0.35"), 32)
    return plan(arch, load_data("digits"), adapt(find_recipe("quick"), **changes))


def test_a_share_of_one_image_is_refused() -> None:
    """No cluster is started: the network has maps of one pixel at this resolution."""
    with pytest.raises(NasError, match="cannot train on one image at a time at a resolution of 32"):
        training._check_shares(_job(batch=2), _group_of(2))
    training._check_shares(_job(batch=4), _group_of(2))


def _started(out: Path, *words: str) -> "subprocess.Popen[str]":
    """Train in another process, with two workers."""
    return subprocess.Popen(
        [sys.executable, "-m", "nas.cli", *WORDS, "--workers", "2", "--out", str(out), *words],
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_epoch(number: int, out: Path, process: "subprocess.Popen[str]") -> None:
    log, until = out / "metrics.jsonl", time.monotonic() + 240
    while not log.exists() or log.read_text().count('"epoch"') < number:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def _workers(process: "subprocess.Popen[str]") -> list[Any]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [child for child in below if "RayTrainWorker" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_a_training_resumes_without_a_worker_and_after_ctrl_c(
    tmp_path: Path, nas: Nas, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "run"
    words = ("--epochs", "12")
    process = _started(out, *words)
    request.addfinalizer(process.kill)
    _wait_for_epoch(1, out, process)
    workers = _workers(process)
    assert len(workers) == 2
    for worker in workers:
        listening = [c for c in worker.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in listening} <= LOOPBACK
    workers[1].kill()
    _wait_for_epoch(2, out, process)
    before = _workers(process)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    assert "lost workers (" in said
    assert said.splitlines()[-1] == "stopped; resume with the same command"
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(before, timeout=30)
    assert not alive

    kept = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    reply = nas(*WORDS, *words, "--out", str(out))  # in this process, alone
    assert reply.code == 0, reply.err
    found = json.loads(reply.out)
    assert found["epochs"] == 12
    assert found["top1"] > 0.8  # one process reaches about 0.9; chance is 0.1
    assert found["history"][: len(kept) - 1] == kept[1:]
    assert not (out / ".ray").exists()


def test_what_a_worker_finds_wrong_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"the loss is .* train again with a lower `lr`"):
        training.train_distributed(_job(epochs=2, lr=1e9), Place(tmp_path / "run"), _group_of(2))


def test_what_cannot_be_shared_is_refused_before_anything_starts(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(NasError, match=r"3 workers cannot share .* give `batch=66`"):
        training.train_distributed(_job(), Place(out), _group_of(3))
    with pytest.raises(NasError, match="too few for one batch of 4096; give a smaller `batch`"):
        training.train_distributed(_job(batch=4096), Place(out), _group_of(2))
    with pytest.raises(NasError, match="workers must be 1 or more, not 0"):
        _group_of(0)
    with pytest.raises(NasError, match=r"a worker needs whole GPUs or none, not 0\.5"):
        training.Workers(count=2, need=Need(cpus=1, gpus=0.5))
    job = _job()
    early = replace(job, options=replace(job.options, until=1))
    with pytest.raises(NasError, match="several workers train to the end"):
        training.train_distributed(early, Place(out), _group_of(2))
    assert not out.exists()


@pytest.mark.parametrize("flag", ["--gpus-per-worker", "--cpus-per-worker"])
def test_what_is_for_a_cluster_alone_is_refused_without_one(nas: Nas, flag: str) -> None:
    reply = nas(*WORDS, flag, "2")
    assert reply.code == 2
    assert f"{flag} is for a cluster" in reply.err
