"""`nas status`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_search import WORDS

Nas = Callable[..., object]


@pytest.fixture
def searched(nas: Nas) -> Nas:
    nas(
        "search",
        *WORDS,
        "--strategy",
        "random",
        "--trials",
        "30",
        "--out",
        "run",
        "--no-plot",
        "--json",
    )
    return nas


def test_it_says_how_a_search_is_doing(searched: Nas) -> None:
    reply = searched("status", "run")
    assert reply.code == 0
    assert reply.out.startswith("run: finished\ntrials: 30 of 30 (30 ok)\n")
    assert "best of each objective: top1_proxy " in reply.out


def test_json_is_one_document(searched: Nas) -> None:
    found = json.loads(searched("status", "run", "--json").out)
    assert (found["state"], found["trials"], found["ok"], found["waiting"]) == (
        "finished",
        30,
        30,
        0,
    )
    assert set(found["best"]) == {"top1_proxy", "latency_ms"}


def test_a_lost_search_says_how_to_resume(searched: Nas) -> None:
    path = Path("run/heartbeat.json")
    beat = json.loads(path.read_text()) | {"state": "running", "updated": 0, "busy": 2}
    path.write_text(json.dumps(beat))
    reply = searched("status", "run")
    assert "run: lost" in reply.out
    assert "workers: 2 of " in reply.out
    assert reply.out.endswith("resume: nas search --out run\n")


def test_what_is_no_run_is_one_line(nas: Nas) -> None:
    reply = nas("status", "nowhere")
    assert (reply.code, reply.err) == (
        2,
        "error: nowhere is not a run folder: it has no run.yaml\n",
    )
