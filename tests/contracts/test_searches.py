"""The contract of runners in whole searches: nothing is lost, and nothing counted twice."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nas import search

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
DATA = Path(__file__).parents[1] / "data"
NODE = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": 2}
TRIALS = 16


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without work, and one working node."""
    ray = pytest.importorskip("ray")
    tokens = pytest.importorskip("ray._private.authentication.authentication_token_setup")
    utils = pytest.importorskip("ray.cluster_utils")
    tokens.enable_token_auth_by_default()
    tokens.ensure_token_if_auth_enabled()
    made = utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    made.add_node(**NODE)
    yield made
    ray.shutdown()
    made.shutdown()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where searches run, and the folder with the instructions for their trials.

    `proposals` are those of every search, in order: the picks as hexadecimal.
    """

    folder: Path
    runner: dict[str, Any]
    proposals: tuple[str, ...] = ()
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "space": str(DATA / "tiny.yaml"),
            "allow_extrapolation": True,
            "evaluator": f"fakes.scripted:folder={self.folder}",
            "strategy": "fakes.listed",
            "trials": TRIALS,
            **more,
        }

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def search(self, **more: Any) -> Any:
        """Search with workers, in this process."""
        return search(**self.settings(**{**self.runner, **more}), out=self.out)

    def start(self, *main: str, bare: bool = False) -> "subprocess.Popen[str]":
        """Start `main`, by default nas, in a session of its own, in the folder of the plugin.

        If `bare`, all settings are those of the folder, whose plugins the user allows.
        """
        settings = {"allow_plugins": True} if bare else self.settings(**self.runner, workers=2)
        flags = [word for name, value in settings.items() for word in _flag(name, value)]
        python = [sys.executable, *(main or ("-m", "nas.cli")), "search", "--out", str(self.out)]
        process = subprocess.Popen(
            [*python, "--json", "--no-plot", *flags],
            cwd=DATA,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def order(self, **numbers: Sequence[int]) -> None:
        """Tell the trials of some proposals, by their numbers, what to do."""
        for what, those in numbers.items():
            for number in those:
                (self.folder / self.proposals[number]).write_text(what.replace("_", " "))

    def release(self) -> None:
        """Let all hanging trials continue."""
        for proposal in self.proposals:
            (self.folder / proposal).unlink(missing_ok=True)

    def begun(self, *numbers: int) -> list[list[int]]:
        """Return the processes that started the trials of some proposals, by default of all."""
        paths = [self.folder / f"{self.proposals[n]}.begun" for n in numbers or range(TRIALS)]
        return [list(map(int, p.read_text().split())) if p.exists() else [] for p in paths]

    def journal(self) -> str:
        """Return the whole lines of the journal."""
        path = self.out / "journal.jsonl"
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1]


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def _records(journal: str) -> list[dict[str, Any]]:
    """Return the records after the header, without their times."""
    records = [json.loads(line) for line in journal.splitlines()[1:]]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def _asked(journal: str) -> tuple[str, ...]:
    """Return the proposals of a journal, each asked for alone, in order."""
    return tuple(record["picks"] for record in _records(journal) if "ask" in record)


def _told(journal: str) -> list[int]:
    """Return the numbers of the proposals that were told, in order."""
    tells = [record for record in _records(journal) if "tell" in record]
    return [n for t in tells for n in t.get("proposals", [t["tell"]])]


def _failed(journal: str) -> dict[int, str]:
    """Return why trials failed, by the numbers of their proposals."""
    tells = [r for r in _records(journal) if "tell" in r and r["status"] == "f"]
    return {
        t.get("proposals", [t["tell"]])[0]: text for t in tells for text in t["errors"].values()
    }


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """Return a function that searches without workers."""
    monkeypatch.syspath_prepend(str(DATA))
    count = itertools.count()

    def run(**more: Any) -> Place:
        folder = tmp_path / f"alone-{next(count)}"
        folder.mkdir()
        place = Place(folder=folder, runner={"workers": 1})
        place.search(**more)
        return place

    return run


RAY = pytest.param("ray", marks=pytest.mark.cluster)
RAY_TOO = pytest.param("ray", marks=[pytest.mark.cluster, pytest.mark.slow])
"""For tests that are fast with local processes, but slow and much the same with Ray."""


@pytest.fixture(params=["local", RAY])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, alone: Callable[..., Place]
) -> Iterator[Place]:
    runner = {"runner": "local"}
    if request.param == "ray":
        address = request.getfixturevalue("cluster").address
        runner = {"runner": "ray:cpus=0.5", "ray_address": address}
    made = Place(folder=tmp_path, runner=runner, proposals=_asked(alone().journal()))
    yield made
    made.release()
    for process in made.started:
        process.kill()
        process.communicate()


def _wait_until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _check_complete(place: Place, *, times_begun: dict[int, int] | None = None) -> None:
    """Check that all trials were told once, and that each was started as often as expected."""
    assert _asked(place.journal()) == place.proposals
    assert sorted(_told(place.journal())) == list(range(TRIALS))
    times = dict.fromkeys(range(TRIALS), 1) | (times_begun or {})
    assert {n: len(pids) for n, pids in enumerate(place.begun())} == times


@pytest.mark.parametrize("strategy", ["fakes.listed", "evolution"])
@pytest.mark.parametrize("place", ["local", RAY_TOO], indirect=True)
def test_one_worker_leaves_the_journal_of_a_search_without(
    place: Place, alone: Callable[..., Place], strategy: str
) -> None:
    other = alone(strategy=strategy, batch=1)
    place.search(workers=1, strategy=strategy, batch=1)
    assert _records(place.journal()) == _records(other.journal())
    assert len(_told(place.journal())) == TRIALS


def test_several_workers_find_as_good_a_front_and_could_be_resumed_alone(
    place: Place, alone: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"strategy": "evolution", "trials": 120}
    found = place.search(workers=2, **settings)
    assert found.trials.ok.all()
    assert sorted(_told(place.journal())) == list(range(120))
    assert found.hypervolume > 0.7 * alone(**settings).search(**settings).hypervolume
    before = place.journal()
    replace(place, runner={"workers": 1}).search(strategy="evolution", trials=121)
    assert "proposes otherwise" not in caplog.text  # the same order of results, the same proposals
    assert place.journal().startswith(before)
    assert sorted(_told(place.journal())) == list(range(121))


def test_trials_that_raise_hang_or_kill_their_workers_fail_alone(place: Place) -> None:
    place.order(**{"raise": [1], "hang": [3], "die": [5], "die_once": [7]})
    found = place.search(workers=2, trial_seconds=4)
    on_ray = "ray" in place.runner["runner"]
    killed = "killed 3 times with its worker" if on_ray else "killed by the system"
    failed = _failed(place.journal())
    assert failed.pop(1) == "ValueError: no"
    assert failed.pop(3) == "took more than 4 s"
    assert killed in failed.pop(5)
    if not on_ray:
        assert killed in failed.pop(7)
    assert not failed
    assert list(found.trials.status).count("ok") == len(found.trials) - len(found.trials.errors)
    _check_complete(place, times_begun={5: 3, 7: 2} if on_ray else None)


@pytest.mark.parametrize("place", [RAY], indirect=True)
def test_trials_of_a_lost_node_are_done_elsewhere(place: Place, cluster: Any) -> None:
    lost = cluster.add_node(**NODE)
    place.order(hang=range(4))
    lose = threading.Thread(target=_lose, args=(cluster, lost, place))
    lose.start()
    found = place.search(runner="ray", workers=4)
    lose.join()
    assert found.trials.ok.all()
    again = [n for n, pids in enumerate(place.begun()) if len(pids) > 1]
    assert len(again) == 2
    _check_complete(place, times_begun=dict.fromkeys(again, 2))


def _lose(cluster: Any, node: Any, place: Place) -> None:
    _wait_until(lambda: all(place.begun(*range(4))))
    cluster.remove_node(node, allow_graceful=False)
    _wait_until(lambda: sum(not _is_alive(pid) for [pid] in place.begun(*range(4))) == 2)
    place.release()


HELD = range(3, 5), range(8, 10)
"""Trials in which both workers hang at the first and second interruption of a search."""
AGAIN = dict.fromkeys((*HELD[0], *HELD[1]), 2)
"""How often they are started."""


def _without_progress(said: str) -> str:
    """Return the messages of a search, without those that depend on its duration."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if f" of {TRIALS} candidates" not in line)


def _interrupted(
    place: Place, held: range, end: Callable[[Any], None], *, bare: bool = False
) -> tuple[int, str, str]:
    """Search until both workers hang, and end the search; return code, journal, last messages.

    Earlier trials have finished, and no worker remains.
    """
    place.release()
    place.order(hang=held)
    before = place.begun(*held)
    process = place.start(bare=bare)

    def hangs() -> bool:
        began = zip(place.begun(*held), before, strict=True)
        return all(len(now) > len(was) for now, was in began)

    _wait_until(lambda: hangs() and len(_told(place.journal())) == held[0])
    end(process)
    said = _without_progress(process.communicate(timeout=60)[1])
    _wait_until(lambda: not any(_is_alive(pid) for pids in place.begun() for pid in pids))
    place.release()
    return process.returncode, place.journal(), said


def test_a_driver_killed_twice_loses_nothing(place: Place, alone: Callable[..., Place]) -> None:
    _, first, _ = _interrupted(place, HELD[0], lambda process: process.kill())
    _, second, _ = _interrupted(place, HELD[1], lambda process: process.kill())
    found = place.search(workers=2)
    assert second.startswith(first)
    assert place.journal().startswith(second)
    _check_complete(place, times_begun=AGAIN)
    assert found.trials.ok.all()
    assert found.hypervolume == alone().search().hypervolume


@pytest.mark.parametrize("place", ["local", RAY_TOO], indirect=True)
def test_ctrl_c_stops_cleanly_and_the_search_resumes(place: Place) -> None:
    ends = [lambda p: os.killpg(p.pid, signal.SIGINT), lambda p: p.send_signal(signal.SIGINT)]
    for held, end, bare in zip(HELD, ends, (False, True), strict=True):
        code, _, said = _interrupted(place, held, end, bare=bare)
        *lines, last = said.splitlines()
        again = f"nas search --out {place.out} --allow-plugins"
        resumed = f"stopped after {held[0]} trials; resume: {again}"
        assert (code, last) == (130, resumed)
        assert [line.split()[0] for line in lines] == ["everything", "nas", "all"]
    assert place.search(workers=2).trials.ok.all()
    _check_complete(place, times_begun=AGAIN)


_ON_A_FULL_DISK = """
import resource
from nas.cli import main
from nas.core.jsonl import Lines

room, (_, most) = 3000, resource.getrlimit(resource.RLIMIT_FSIZE)
append = Lines.append

def append_within(lines, record):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        append(lines, record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

Lines.append = append_within
if __name__ == "__main__":
    main()
"""
"""The command line, with room in journals for a few trials."""


@pytest.mark.parametrize("place", ["local", RAY_TOO], indirect=True)
def test_a_full_disk_is_reported_and_loses_nothing(place: Place) -> None:
    (place.folder / "full.py").write_text(_ON_A_FULL_DISK)
    process = place.start(str(place.folder / "full.py"))
    said = _without_progress(process.communicate(timeout=60)[1])
    journal = place.journal()
    path = place.out / "journal.jsonl"
    assert said == (
        f"error: cannot write {path}: File too large; everything before is kept: "
        "make room and start the same command again\n"
    )
    assert process.returncode == 2
    assert 0 < len(_told(journal)) < TRIALS
    assert place.search(workers=2).trials.ok.all()
    assert place.journal().startswith(journal)
    assert _asked(place.journal()) == place.proposals
    assert sorted(_told(place.journal())) == list(range(TRIALS))
