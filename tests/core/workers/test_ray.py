"""The Ray runner on a cluster of several nodes, all on this machine, and its failures."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")  # it comes with Ray
tokens = pytest.importorskip("ray._private.authentication.authentication_token_setup")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster

from nas.core.errors import NasError  # noqa: E402  # skipped above where there is no Ray
from nas.core.workers.runner import Failure  # noqa: E402
from nas.core.workers.runners.ray import Ray, create  # noqa: E402

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[3]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
NODE = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without work, and one working node."""
    tokens.enable_token_auth_by_default()
    tokens.ensure_token_if_auth_enabled()
    made = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    made.add_node(**NODE)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def runner(cluster: Cluster) -> Iterator[Ray]:
    with closing(create(address=cluster.address, workers=2)) as made:
        yield made


def work(folder: Path, task: str) -> str:
    """Do what `task` says, and record in the folder which process started it."""
    what, _, argument = task.partition(" ")
    with (folder / task.replace(" ", "-")).open("a") as file:
        file.write(f"{os.getpid()}\n")
    begun = len(_begun(folder, task))
    if what == "die" and begun <= int(argument):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleep":
        time.sleep(float(argument))
    if what == "stay" and ray.get_runtime_context().get_node_id() == (folder / "lost").read_text():
        (folder / f"held-{argument}").touch()
        time.sleep(60)
    if what == "stay":
        _wait_until(lambda: list(folder.glob("held-*")))
    return task.upper()


def _begun(folder: Path, task: str) -> list[int]:
    path = folder / task.replace(" ", "-")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait_until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def _in_order(found: Iterator[tuple[int, Any]]) -> list[Any]:
    """Return the outcomes by number, each of which must occur once."""
    pairs = sorted(found, key=lambda pair: pair[0])
    assert [number for number, _ in pairs] == list(range(len(pairs)))
    return [outcome for _, outcome in pairs]


def test_what_a_killed_worker_did_is_done_again(runner: Ray, tmp_path: Path) -> None:
    tasks = ["a", "die 1", "b", "c"]
    assert _in_order(runner.map(work, tmp_path, tasks)) == ["A", "DIE 1", "B", "C"]
    assert len(_begun(tmp_path, "die 1")) == 2
    assert [len(_begun(tmp_path, task)) for task in "abc"] == [1, 1, 1]


def test_a_task_that_always_kills_its_worker_fails_alone(runner: Ray, tmp_path: Path) -> None:
    failure, *rest = _in_order(runner.map(work, tmp_path, ["die 99", "a", "b"]))
    assert failure == Failure(
        "killed 3 times with its worker, most likely out of memory or crashed"
    )
    assert rest == ["A", "B"]
    assert len(_begun(tmp_path, "die 99")) == 3


def test_tasks_of_a_lost_node_are_done_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    with closing(create(address=cluster.address, cpus=0.5)) as runner:
        assert runner.workers == 4
        lost = cluster.add_node(**NODE)
        (tmp_path / "lost").write_text(lost.node_id)
        _wait_until(lambda: runner.workers == 8)
        tasks = [f"stay {i}" for i in range(12)]
        results = runner.map(work, tmp_path, tasks)
        lose = threading.Thread(target=_lose, args=(cluster, lost, tmp_path))
        lose.start()
        assert _in_order(results) == [task.upper() for task in tasks]
        lose.join()
    held = [path.name.removeprefix("held-") for path in tmp_path.glob("held-*")]
    assert held
    assert all(len(_begun(tmp_path, f"stay {i}")) == 2 for i in held)


def _lose(cluster: Cluster, node: Any, folder: Path) -> None:
    _wait_until(lambda: list(folder.glob("held-*")))
    cluster.remove_node(node, allow_graceful=False)


def test_waiting_for_a_worker_is_not_counted(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [f"sleep 4.{i}" for i in range(3)]
    with closing(create(address=cluster.address, workers=3, cpus=2)) as runner:
        assert _in_order(runner.map(work, tmp_path, tasks, seconds=10)) == [
            task.upper() for task in tasks
        ]
        assert _in_order(runner.map(work, tmp_path, ["sleep 60", "a"], seconds=2)) == [
            Failure("took more than 2 s"),
            "A",
        ]


def test_importing_the_work_is_not_counted(
    runner: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["import time", "time.sleep(3)", "def work(shared, task):", "    return task.upper()"]
    (tmp_path / "slow_to_import.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    slow = importlib.import_module("slow_to_import").work
    assert _in_order(runner.map(slow, None, ["a", "b", "c"], seconds=2)) == ["A", "B", "C"]


def _eat(shared: None, share: float) -> int:
    eaten = b"x" * int(share * psutil.virtual_memory().total)
    time.sleep(10 if eaten else 0)
    return len(eaten)


def test_running_out_of_memory_is_reported(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    threshold = 1 - memory.available / memory.total + 0.05
    monkeypatch.setenv("RAY_memory_usage_threshold", str(threshold))
    node = cluster.add_node(**{**NODE, "num_cpus": 3})  # it alone has as much
    with closing(create(address=cluster.address, cpus=3)) as runner:
        failure, nothing = _in_order(runner.map(_eat, None, [0.12, 0.0]))
    cluster.remove_node(node)
    assert failure == Failure(
        "killed by Ray, since its node ran out of memory; run fewer at a time"
    )
    assert nothing == 0


def _seen_gpus(shared: None, task: int) -> str:
    time.sleep(0.2)
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all")


def test_a_gpu_is_shared_by_as_many_as_asked_for_and_hidden_from_others(cluster: Cluster) -> None:
    node = cluster.add_node(**{**NODE, "num_gpus": 1})
    with closing(create(address=cluster.address, cpus=0.5, gpus=0.25)) as runner:
        assert runner.workers == 4
        assert _in_order(runner.map(_seen_gpus, None, range(4))) == ["0"] * 4
    with closing(create(address=cluster.address, workers=2)) as runner:
        assert _in_order(runner.map(_seen_gpus, None, range(2))) == ["", ""]
    cluster.remove_node(node)


class Large:
    """Records in a file when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        (self.folder / f"unpacked-{os.getpid()}-{time.monotonic_ns()}").touch()


def _pid(large: Large, task: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def test_what_is_shared_is_unpacked_once_by_a_worker(runner: Ray, tmp_path: Path) -> None:
    large = Large(tmp_path)
    pids = {pid for _ in range(2) for _, pid in runner.map(_pid, large, range(20))}
    unpacked = [int(path.name.split("-")[1]) for path in tmp_path.glob("unpacked-*")]
    assert pids <= set(unpacked)
    assert len(unpacked) == len(set(unpacked)) <= 2


def test_workers_have_the_environment_of_a_file_and_the_cluster_of_the_variable(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environment.yaml").write_text("env_vars: {PLACE: there}")
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with closing(create(workers=1, environment=str(tmp_path / "environment.yaml"))) as runner:
        found = _in_order(runner.map(lambda *_: os.environ["PLACE"], None, [1]))
        assert ray.get_runtime_context().gcs_address == cluster.address
    assert found == ["there"]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 .*ray start --head"),
        ("nonsense", "expected auto, HOST:PORT or ray://HOST:PORT"),
    ],
)
def test_no_cluster_at_the_address(place: str, line: str) -> None:
    with pytest.raises(NasError, match=line):
        create(address=place)


def test_more_than_any_node_has_is_refused(cluster: Cluster) -> None:
    with pytest.raises(NasError, match=r"a task needs 64 CPU, .* the largest has 2 CPU and 0 GPU"):
        create(address=cluster.address, cpus=64)
    with pytest.raises(NasError, match=r"a task needs 1 CPU and 0.25 GPU, more than any node has"):
        create(address=cluster.address, gpus=0.25)
    assert not ray.is_initialized()


def test_another_version_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ray.__version__
    monkeypatch.setattr(ray, "__version__", "1.2.3")
    with pytest.raises(NasError, match=f"runs Ray: {real}, Python: 3.* but here is Ray: 1.2.3, "):
        create(address=cluster.address)


def test_what_cannot_be_sent_is_named(runner: Ray, tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(NasError, match=r"all tasks share\['deep'\]\[1\], a lock, cannot be sent"):
        list(runner.map(work, {"deep": [1, lock]}, ["a"]))
    with pytest.raises(NasError, match=r"a task with its variable lock, a lock, cannot"):
        list(runner.map(lambda *_: lock, tmp_path, ["a"]))
    assert _in_order(runner.map(work, tmp_path, ["a"])) == ["A"]


def test_workers_find_what_the_driver_finds_behind_what_they_have(
    runner: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("class Thing: ...\n")
    (tmp_path / "nas.py").write_text("raise RuntimeError")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path / "nowhere")])
    thing = importlib.import_module("only_here").Thing()
    (path,) = _in_order(runner.map(lambda *_: sys.path, thing, ["a"]))
    assert path[-1] == str(tmp_path)


def test_a_module_that_workers_lack_is_named(
    runner: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost.py").write_text("class Thing: ...\n")
    with monkeypatch.context() as here:
        here.syspath_prepend(str(tmp_path))
        thing = importlib.import_module("lost").Thing()
    with pytest.raises(NasError, match=r"cannot start: .*'lost'; install it on the"):
        list(runner.map(work, thing, ["a"]))
    assert _in_order(runner.map(work, tmp_path, ["a"])) == ["A"]


def test_a_map_that_is_left_behind_starts_no_cluster(cluster: Cluster, tmp_path: Path) -> None:
    runner = create(address=cluster.address, workers=1, cpus=0.5)
    left = runner.map(work, tmp_path, ["a", "sleep 60"])
    assert next(left) == (0, "A")
    runner.close()
    left.close()  # type: ignore[attr-defined]  # a generator
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    "options", [{"workers": -1}, {"attempts": 0}, {"cpus": -1.0}, {"cpus": 0.0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NasError, match="must"):
        create(**options)


def drive(address: str, folder: str) -> None:
    """Work for a minute, and exit with the text of any failure."""
    try:
        runner = create(address=address, workers=2, cpus=0.5)
    except NasError as error:
        sys.exit(str(error))
    for _, outcome in runner.map(work, Path(folder), ["sleep 60", "sleep 61"]):
        sys.exit(str(outcome))


def _driver(address: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    code = f"from tests.core.workers.test_ray import drive; drive({address!r}, {str(folder)!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "environment",
    [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}],
    ids=["wrong", "none"],
)
def test_a_wrong_token_is_refused(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    driver = _driver(cluster.address, tmp_path, **environment)
    _, said = driver.communicate(timeout=60)
    assert said.startswith(f"{cluster.address} expects another token than the one found here")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("own", [False, True], ids=["joined", "own"])
def test_all_ends_with_a_killed_driver(cluster: Cluster, tmp_path: Path, own: bool) -> None:
    address = "" if own else cluster.address
    driver = _driver(address, tmp_path)
    _wait_until(lambda: _begun(tmp_path, "sleep 60") and _begun(tmp_path, "sleep 61"))
    pids = [_begun(tmp_path, task)[0] for task in ("sleep 60", "sleep 61")]
    for process in psutil.Process(driver.pid).children(recursive=True):
        assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} <= LOOPBACK
        if process.name() in ("raylet", "gcs_server"):
            pids.append(process.pid)
    assert len(pids) == (4 if own else 2)
    driver.kill()
    driver.communicate()
    _wait_until(lambda: not any(map(_is_alive, pids)))
    if not own:
        with closing(create(address=address, workers=2)) as runner:
            assert _in_order(runner.map(work, tmp_path, ["a", "b"])) == ["A", "B"]
