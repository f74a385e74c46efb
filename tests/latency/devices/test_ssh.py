"""Measuring over ssh: with a fake `ssh` that runs commands here, and a real one if available."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nas.core import strict_json
from nas.core.errors import NasError, RunError
from nas.latency.devices._link import command
from nas.latency.measure.bundle import bundle_key, write_bundle
from nas.latency.measure.plan import Plan, to_mapping
from nas.latency.measure.rounds import MeasuringProgress, Rounds
from nas.latency.measure.run import Target, measure_plan
from nas.latency.measure.samples import Samples, read_samples
from tests.latency.devices.conftest import Board, program

TARGET = Target(device="ssh:pi@board,retry=0")
TWO = Rounds(least=2, most=2)
MANY = Rounds(least=50, most=50, repetition_seconds=0.0)
LONG = Rounds(least=5000, most=5000)


def head_bytes(plan: Plan) -> int:
    """Return the approximate number of bytes in the first line of samples."""
    return len(strict_json.dumps(to_mapping(plan)))


def complete(samples: Samples, plan: Plan, rounds: int = 2) -> bool:
    """Tell whether every job of `plan` but the reference has its repetitions."""
    jobs = [one.job for one in samples.repetitions]
    return all(jobs.count(job) >= rounds for job in range(1, len(plan.jobs)))


def test_samples_come_back_and_nothing_stays_there(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "s.jsonl"
    samples, found = measure_plan(small_plan, TARGET, out, rounds=TWO)
    assert complete(samples, small_plan)
    assert sorted(found.jobs) == [1, 2, 3]
    assert samples == read_samples(out)
    assert samples.machine.backend == "onnxruntime"
    assert board.places == []


def test_a_connection_that_is_cut_once_costs_nothing(
    board: Board, small_plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board.set("cut", str(2 * head_bytes(small_plan)))  # in the middle of the samples
    target = replace(TARGET, device="ssh:pi@board,retry=0.5")
    samples, _ = measure_plan(small_plan, target, tmp_path / "s.jsonl", rounds=MANY)
    assert complete(samples, small_plan, 50)
    assert len(samples.begins) == 1  # what ran there continued
    assert "what runs there continues; trying again" in caplog.text
    assert board.places == []


def test_the_same_command_resumes_after_a_connection_that_is_lost_for_good(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "s.jsonl"
    measure_plan(small_plan, TARGET, out, rounds=Rounds(least=1, most=1))
    known = out.read_bytes()
    board.set("cut", "2500")
    with pytest.raises(NasError, match=r"lines of samples so far are kept.*same command resumes"):
        measure_plan(small_plan, TARGET, out, rounds=MANY)
    samples, _ = measure_plan(small_plan, TARGET, out, rounds=MANY)
    assert out.read_bytes().startswith(known)
    assert complete(samples, small_plan, 50)


def test_an_interrupt_ends_what_runs_there_and_keeps_the_samples(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "s.jsonl"

    def interrupt(_: MeasuringProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_plan(small_plan, TARGET, out, rounds=LONG, report=interrupt)
    assert read_samples(out).repetitions
    (place,) = board.places
    size = (place / "samples.jsonl").stat().st_size
    assert _ended(place)
    time.sleep(0.05)
    assert (place / "samples.jsonl").stat().st_size - size < 10_000
    samples, _ = measure_plan(small_plan, TARGET, out, rounds=TWO)
    assert complete(samples, small_plan)
    assert board.places == []


def _ended(place: Path) -> bool:
    """Wait until the lock of a measurement is free, and return whether that happened."""
    import fcntl

    with (place / "lock").open("ab") as file:
        for _ in range(200):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.02)
            else:
                return True
    return False


def test_a_disk_too_full_for_the_bundle(board: Board, small_plan: Plan, tmp_path: Path) -> None:
    board.set("limit", "20")
    with pytest.raises(NasError, match=r"ssh pi@board: .*bundle.zip: File too large"):
        measure_plan(small_plan, TARGET, tmp_path / "s.jsonl", rounds=TWO)
    assert not (tmp_path / "s.jsonl").exists()


def test_a_disk_that_gets_full_keeps_the_samples_and_says_so(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    place = board.home / f".cache/nas/measure-{bundle_key(small_plan, TARGET)}"
    place.mkdir(parents=True)
    write_bundle(small_plan, place / "bundle.zip", target=TARGET)
    out = tmp_path / "s.jsonl"
    board.set("limit", str(head_bytes(small_plan) // 512 + 8))  # of 512 bytes, in most shells
    with pytest.raises(NasError, match=r"pi@board: cannot write .*everything before is kept"):
        measure_plan(small_plan, TARGET, out, rounds=LONG)
    before = len(read_samples(out).repetitions)
    assert before
    board.unset("limit")
    samples, _ = measure_plan(small_plan, TARGET, out, rounds=TWO)
    assert len(samples.repetitions) > before
    assert complete(samples, small_plan)


def test_what_is_missing_there_is_named_with_the_command_that_installs_it(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    bare = program(tmp_path / "bare", f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    target = replace(TARGET, device=f"ssh:pi@board,python={bare}")
    with pytest.raises(NasError) as raised:
        measure_plan(small_plan, target, tmp_path / "s.jsonl", rounds=TWO)
    text = str(raised.value)
    assert "lacks numpy onnxruntime; install it there: ssh pi@board '" in text
    assert text.endswith(f"{bare} -m pip install numpy onnxruntime'")
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_board_without_python(board: Board, small_plan: Plan, tmp_path: Path) -> None:
    target = replace(TARGET, device="ssh:pi@board,python=/no/python")
    with pytest.raises(NasError, match=r"has no Python 3\.11 or newer.*ssh:pi@board,python="):
        measure_plan(small_plan, target, tmp_path / "s.jsonl", rounds=TWO)


def test_what_ssh_says_is_shown(board: Board, small_plan: Plan, tmp_path: Path) -> None:
    board.set("deny", "Welcome!\npi@board: Permission denied (publickey).\n")
    with pytest.raises(NasError) as raised:
        measure_plan(small_plan, TARGET, tmp_path / "s.jsonl", rounds=TWO)
    assert str(raised.value) == (
        "ssh pi@board: pi@board: Permission denied (publickey).; see whether this works: "
        "ssh pi@board"
    )


def test_a_file_of_another_measurement_is_left_alone(
    board: Board, small_plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "s.jsonl"
    measure_plan(small_plan, TARGET, out, rounds=Rounds(least=1, most=1))
    before = out.read_bytes()
    other = replace(small_plan, jobs=small_plan.jobs[:-1])
    with pytest.raises(RunError, match="was measured with another plan; give another --out"):
        measure_plan(other, TARGET, out, rounds=TWO)
    with pytest.raises(RunError, match="was measured with threads 1, not 2"):
        measure_plan(small_plan, replace(TARGET, threads=2), out, rounds=TWO)
    assert out.read_bytes() == before


@pytest.mark.parametrize("place", ["", "-oProxyCommand=x", "a b", "pi@board:1234567", "a:b:c"])
def test_what_is_no_place_is_refused(place: str, small_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="expected ssh:user@host"):
        measure_plan(small_plan, Target(device=f'ssh:"{place}"'), tmp_path / "s.jsonl", rounds=TWO)


def test_a_backend_that_is_not_there(small_plan: Plan, tmp_path: Path) -> None:
    target = Target(device="ssh:pi@board", backend="fake")
    with pytest.raises(NasError, match="devices over ssh run onnxruntime and litert, not 'fake'"):
        measure_plan(small_plan, target, tmp_path / "s.jsonl", rounds=TWO)


# Against a real sshd

SSHD, SSH = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"), shutil.which("ssh")
_SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv XDG_CACHE_HOME={folder}/cache
"""
_CLIENT = """
Host board
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  BatchMode yes
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """Start an sshd on loopback with keys made for it, and an `ssh` that reads its own config."""
    if SSHD is None or SSH is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here")
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("host", "user", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    port = _free_port()
    values = {"folder": folder, "port": port}
    (folder / "sshd_config").write_text(_SERVER.format(**values))
    (folder / "config").write_text(_CLIENT.format(**values))
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    program(folder / "ssh", f'#!/bin/sh\nexec {SSH} -F {folder}/config "$@"\n')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=-3)
    try:
        _until_it_listens(port, process)
        yield process
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    import socket

    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.skip("sshd does not start here")


BOARD = Target(device=f"ssh:board,retry=20,python={sys.executable}")


def test_a_real_connection_that_is_cut(
    server: "subprocess.Popen[bytes]",
    small_plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.latency.devices.ssh._PAUSE_SECONDS", 0.1)
    cuts: list[int] = []

    def cut() -> None:
        """End the connection as soon as the first sample has come."""
        for _ in range(5000):
            if (tmp_path / "s.jsonl").is_file() and _lines(tmp_path / "s.jsonl") > 1:
                cuts.extend(_children(server.pid))
                for child in cuts:
                    os.kill(child, 9)
                return
            time.sleep(0.002)

    rounds = Rounds(least=100, most=100, repetition_seconds=0.02)
    cutting = threading.Thread(target=cut)
    cutting.start()
    samples, _ = measure_plan(small_plan, BOARD, tmp_path / "s.jsonl", rounds=rounds)
    cutting.join()
    assert cuts
    assert complete(samples, small_plan, 100)
    assert len(samples.begins) == 1
    assert list((tmp_path / "keys/cache").glob("nas/*")) == []


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("/user\n", "/stranger\n", "Permission denied"),
        ("/known_hosts", "/host.pub", "Host key verification failed"),
        ("127.0.0.1\n  Port", "127.0.0.1\n  Port 1 #", "Connection refused"),
        ("127.0.0.1", "nowhere.invalid", "nowhere.invalid"),
    ],
)
def test_what_a_real_ssh_refuses(  # three of them are one case
    server: "subprocess.Popen[bytes]",
    small_plan: Plan,
    tmp_path: Path,
    was: str,
    becomes: str,
    message: str,
) -> None:
    config = tmp_path / "keys/config"
    text = config.read_text()
    assert was in text
    config.write_text(text.replace(was, becomes, 1))
    with pytest.raises(NasError, match=rf"{message}.*; see whether this works: ssh board$"):
        measure_plan(small_plan, BOARD, tmp_path / "s.jsonl", rounds=TWO)
    assert not (tmp_path / "s.jsonl").exists()


def test_a_python_in_the_home_folder_there(tmp_path: Path) -> None:
    """The shell there expands $HOME, and nothing else in the path."""
    python = tmp_path / "my $venv" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    found = subprocess.run(
        ["sh", "-c", command(["json"], "~/my $venv/python")],
        env={"HOME": str(tmp_path), "PATH": "/nowhere:/bin:/usr/bin"},
        input=b"13\nprint('here')",
        capture_output=True,
        check=True,
    )
    assert found.stdout == b"here\n"
