"""Kinds of folders, the networks in them, and what commands say about other kinds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.core.data import to_yaml
from nas.core.errors import NasError, RunError, UnknownName
from nas.core.jsonl import resumed
from nas.core.run_folder import (
    NETADAPT,
    PIPELINE,
    SCALING,
    SEARCH,
    TRAINING,
    Kind,
    check_kind,
    check_same,
    holds,
    kind_of,
    network_of,
)
from nas.core.storage import Place
from nas.network.blocks import to_mapping
from nas.network.zoo import load_architecture
from nas.pipeline.summary import read_summary
from nas.searching.runs.folder import find_architecture

Nas = Callable[..., Any]
SMALL = "mobilenet_v3_small"
POINT = {"latency_ms": 3.0, "macs": 1, "params": 1, "held_out": 0.5, "top1": 0.75, "test": None}


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one folder of every kind; checkpoints are files without weights."""
    monkeypatch.chdir(tmp_path)
    arch = to_yaml(to_mapping(load_architecture(SMALL)))
    tried = {"group": "stem", "was": 16, "width": 8, "point": POINT, "seconds": 1.0, "error": ""}
    network = {"name": "found", "part": "found", "path": "search/archs/001.yaml"}
    for path, text in {
        "search/run.yaml": "schema: 1\n",
        "trained/train.yaml": "schema: 1\nrecipe: {epochs: 4}\n",
        "trained/metrics.jsonl": lines(
            {"schema": 1}, {"epoch": 1, "top1": 0.5}, {"epoch": 2, "top1": 0.25}
        ),
        "pruned/run.yaml": "schema: 1\nsettings: {target_ms: 2.5}\n",
        "pruned/journal.jsonl": lines(
            {"schema": 1}, {"start": {**POINT, "latency_ms": 4.0}},
            {"round": 1, "tried": tried}, {"round": 1, "chosen": "stem"},
        ),
        "scaled/grid.jsonl": lines(
            {"schema": 1, "networks": 3, "metric": "top1_proxy"},
            {"fingerprint": "a", "score": 0.5}, {"fingerprint": "b", "error": "oh"},
        ),
        "scaled/best.yaml": arch,
        "line/pipeline.jsonl": lines(
            {"schema": 1}, {"stage": "search", "done": {"networks": [network]}}
        ),
        "line/pipeline.yaml": "schema: 1\nsearch: {}\ntrain: {}\n",
        "line/search/archs/001.yaml": arch,
        "thesis/main.tex": "",
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


KINDS = {
    "search": SEARCH, "trained": TRAINING, "pruned": NETADAPT, "scaled": SCALING,
    "line": PIPELINE, "thesis": None, "nowhere": None,
}  # fmt: skip


def test_every_kind_is_known_by_its_file(folders: Path) -> None:
    assert {name: kind_of(folders / name) for name in KINDS} == KINDS


@pytest.mark.parametrize("wanted", [SEARCH, TRAINING, NETADAPT, SCALING, PIPELINE])
def test_only_its_own_kind_and_free_folders_are_written_into(folders: Path, wanted: Kind) -> None:
    for name, kind in KINDS.items():
        path = folders / name
        if name == "nowhere":
            assert not holds(path, wanted)
        elif kind is wanted:
            assert holds(path, wanted)
            check_kind(path, wanted)
            continue
        else:
            what = kind.text if kind else f"not empty and holds no {wanted.word}"
            with pytest.raises(RunError, match=f"{name} is {what}.*; give another `out`"):
                holds(path, wanted)
        with pytest.raises(
            RunError, match=f"{name} is (not a run folder|{kind and kind.text}, not)"
        ):
            check_kind(path, wanted)


def test_other_settings_are_named_with_both_values() -> None:
    found = {"a": 1, "b": ("x", "y"), "c": 3}
    check_same("it is another: its", found, {**found, "c": 4}, may_change=("c",))
    for wanted, message in (
        ({**found, "b": ()}, "its b is x, y, not none; give another `out`"),
        ({**found, "d": "new"}, "its d is not given, not 'new'; give another `out`"),
        ({"a": 1, "b": ("x", "y")}, "its c is 3, and is not given now"),
    ):
        with pytest.raises(RunError, match=message):
            check_same("it is another: its", found, wanted)


def test_a_file_that_cannot_be_continued_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"

    def refuse() -> None:
        with resumed(path, {"schema": 1}, writer="another"):
            raise RunError("not this one")

    for _ in range(2):  # its lock is free
        with pytest.raises(RunError, match="not this one"):
            refuse()
    with resumed(path, {}, writer="another") as lines:
        assert lines.records == [{"schema": 1}]
    lines.append({"more": 1})
    lines.close()
    assert path.read_text() == '{"schema":1}\n{"more":1}\n'


def test_a_folder_names_its_last_network(folders: Path) -> None:
    (folders / "pruned/final.safetensors").touch()
    assert network_of("pruned") == network_of("pruned:best") == "pruned/final.safetensors"
    assert network_of("line:found") == "line/search/archs/001.yaml"
    for text in ("scaled", "scaled:best", "line:found"):
        assert find_architecture(text) == load_architecture(SMALL)
    for text in ("search:3", "trained:last", "mobilenet_v2", "s3://a/b:best", "nowhere:1"):
        assert network_of(text) == text


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("pruned", RunError, "pruned is not finished; resume with the same nas netadapt command"),
        ("pruned:3", UnknownName, "pruned is a pruning by NetAdapt: it has best, not '3'"),
        (
            "line",
            RunError,
            "line has trained nothing yet; resume with the same nas pip",
        ),
        ("line:pruned", UnknownName, "line has the networks found, not 'pruned'"),
    ],
)
def test_what_a_folder_has_not_is_reported(
    folders: Path, text: str, error: type[NasError], message: str
) -> None:
    with pytest.raises(error, match=message):
        network_of(text)


def test_a_damaged_pipeline_is_reported(folders: Path) -> None:
    journal = folders / "line/pipeline.jsonl"
    before = journal.read_text()
    journal.write_text(before.replace("search/archs/001.yaml", "../scaled/best.yaml"))
    with pytest.raises(RunError, match=r"line/pipeline.jsonl is damaged"):
        network_of("line:found")
    journal.write_text(before + '{"stage": "train", "done": {"networks": [3]}}\n')
    for read in (network_of, lambda text: read_summary(Place(text))):
        with pytest.raises(RunError, match=r"line/pipeline.jsonl is damaged"):
            read("line")


def test_summaries_say_how_far_it_is(folders: Path) -> None:
    found = {name: read_summary(Place(name)) for name in KINDS if KINDS[name]}
    assert found.pop("search") is None
    assert {name: (s.state, dict(s.facts)) for name, s in found.items() if s} == {
        "trained": (
            "unfinished", {"epochs": 2, "wanted": 4, "top1": 0.5, "best_epoch": 1},
        ),
        "pruned": (
            "unfinished", {"rounds": 1, "latency_ms": 3.0, "target_ms": 2.5, "top1": None},
        ),
        "scaled": ("finished", {"scored": 1, "failed": 1, "networks": 3, "best": 0.5}),
        "line": (
            "unfinished", {"done": ["search"], "missing": ["train"], "networks": ["found"]},
        ),
    }  # fmt: skip
    with (folders / "pruned/journal.jsonl").open("a") as file:
        file.write(lines({"end": {"best": POINT}}))
    (folders / "pruned/final.safetensors").touch()
    done = read_summary(Place("pruned"))
    assert done
    assert (done.state, done.facts["top1"]) == ("finished", 0.75)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search --out {}", "{} is {kind}, not the run of a search; give another --out"),
        ("study {}", "{} is {kind}, not the run of a search; see: nas status {}"),
        ("surrogate fit {} --out m.npz", "{} is {kind}, not the run of a search; see: nas status"),
        ("latency check {}", "{} is {kind}, not the run of a search; see: nas status {}"),
        ("latency plan --run {}", "{} is {kind}, not the run of a search; see: nas status {}"),
    ],
)
def test_commands_for_searches_say_what_the_folder_is(
    nas: Nas, folders: Path, words: str, message: str
) -> None:
    for name, kind in KINDS.items():
        if kind not in (None, SEARCH):
            reply = nas(*words.format(name).split())
            assert reply.code == 2
            assert message.format(name, name, kind=kind.text).split("; see")[0] in reply.err
            assert reply.err.count("\n") == 1


def test_status_says_something_of_every_kind(nas: Nas, folders: Path) -> None:
    assert nas("status", "pruned").out.splitlines() == [
        "pruned: a pruning by NetAdapt, unfinished",
        "rounds: 1",
        "latency_ms: 3",
        "target_ms: 2.5",
        "resume: the same nas netadapt command",
    ]
    assert nas("status", "trained").out.splitlines()[3] == "top1: 50.00 %"
    assert "next: nas show scaled" in nas("status", "scaled").out
    found = json.loads(nas("status", "line", "--json").out)
    assert (found["kind"], found["missing"]) == ("pipeline", ["train"])
