"""Searches for detectors: the head is part of all costs and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.core.errors import NasError, RunError
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.searching import loop
from nas.searching.config import SearchConfig, read_config
from nas.searching.loop import Run
from nas.searching.runs.folder import find_architecture
from nas.searching.runs.stored import read_run
from nas.searching.setup import prepare
from nas.searching.solutions import known_solutions


def _search(out: Path | None = None, **settings: Any) -> Run:
    usual = {"task": "detection", "head": "ssdlite", "space": "mobilenetv3", "trials": 60}
    return loop.search(out=out, **{**usual, **settings})


def test_solutions_are_detectors_with_all_that_they_cost(tmp_path: Path) -> None:
    run = _search(tmp_path / "run", head="ssdlite:resolution=320,classes=3")
    table = run.setup.table
    for solution in run.solutions:
        assert solution.arch.detector is not None
        assert solution.arch.detector.classes == 3
        assert solution.arch.resolution == 320
        assert solution.metrics["latency_ms"] == pytest.approx(table.predict(solution.arch).ms)
        assert (solution.macs, solution.params) == (
            cost(solution.arch).macs,
            cost(solution.arch).params,
        )
    assert run.best is not None
    assert find_architecture(f"{tmp_path / 'run'}:best") == run.best.arch


def test_a_limit_is_on_backbone_and_head() -> None:
    run = _search(limit=("params<=4M",))
    assert all(cost(solution.arch).params <= 4_000_000 for solution in run.solutions)


def test_the_zoo_has_the_same_head() -> None:
    run = _search(space="mbconv", limit=("macs<=2G",))
    known = {solution.name: solution for solution in known_solutions(run.setup)}
    found = known["ssdlite:mobilenet_v2"]
    expected = load_architecture("ssdlite:mobilenet_v2@224")  # the space has a choice of resolution
    assert found.macs == cost(expected).macs
    assert found.published == 0.72
    assert run.baseline is not None
    assert run.baseline.name == "ssdlite:efficientnet_b0"
    rows = [run.setup.problem.decode(row[None])[0] for row in run.setup.seeds]
    assert found.arch in rows


def test_the_accuracy_of_backbones_is_reported_as_a_proxy() -> None:
    setup = prepare(SearchConfig(task="detection", head="yolo", space="mnasnet_b0"))
    assert setup.note.startswith(
        "top1: ImageNet top-1 of the backbone as a classifier at 224 px, which stands in"
    )
    classifier = prepare(SearchConfig(space="mnasnet_b0"))
    rows = setup.space.sample_matrix(np.random.default_rng(0), 5)
    found = [
        one.problem.expensive[0](_candidates(one.space, rows))["top1"]
        for one in (setup, classifier)
    ]
    assert found[0].tolist() == found[1].tolist()
    assert "stands in" not in classifier.note


def _candidates(space: Any, rows: Any) -> Any:
    from nas.searching.problem import Candidates

    return Candidates(space=space, picks=rows)


def test_a_run_is_resumed_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = _search(trials=80, batch=20)
    _search(tmp_path, trials=40, batch=20)
    again = _search(tmp_path, trials=80, batch=20)
    assert again.new == 40
    assert np.array_equal(again.trials.picks, whole.trials.picks)
    with pytest.raises(RunError, match="head"):
        _search(tmp_path, head="ssd", trials=80)


def test_a_stored_run_has_the_space_of_its_detectors(tmp_path: Path) -> None:
    run = _search(tmp_path, head="ssdlite:resolution=320")
    stored = read_run(tmp_path)
    assert stored.space.fingerprint == run.setup.space.fingerprint
    assert stored.config.head == "ssdlite:resolution=320"
    assert np.array_equal(stored.trials.picks, run.trials.picks)


def test_a_run_of_classifiers_from_before_there_were_tasks_is_resumed(tmp_path: Path) -> None:
    settings = {"space": "mnasnet_b0", "evaluator": "surrogate", "batch": 20}
    loop.search(out=tmp_path, trials=20, **settings)
    path = tmp_path / "run.yaml"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("task:", "head:"))]
    assert len(kept) == len(lines) - 2
    path.write_text("".join(kept))
    assert read_config(path).task == "classification"
    assert loop.search(out=tmp_path, trials=40, **settings).new == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "classification"}, "`head=ssdlite` makes detectors, and the task is classif"),
        ({"head": ""}, "task detection needs a head, as in `head=ssdlite`: ssd, ssdlite, yolo"),
        ({"task": "segmentation"}, "task must be classification or detection, not segmentation"),
        ({"head": "ssdlight"}, "unknown head 'ssdlight'; did you mean ssdlite"),
        ({"head": "ssdlite:clases=3"}, "unknown option 'clases'; did you mean classes"),
        ({"head": "yolo"}, "does not fit space mobilenetv3: .* multiple of 32"),
        ({"head": "mine.head"}, "Python finds no module mine"),
        ({"evaluator": "zero_cost"}, "evaluator zero_cost scores classifiers"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        _search(**settings)
