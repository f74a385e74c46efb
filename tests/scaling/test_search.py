"""Scoring a grid: every network once, a resumed journal, the best first."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nas.core.errors import NasError, NotInSpace, RunError
from nas.core.workers.runner import Failure
from nas.network.blocks import Architecture
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.scaling.grid import Budget, Point, grid
from nas.scaling.search import GridScorer, by_model, search
from nas.space.file import load_space

BASE = load_architecture("mobilenet_v2@0.35-96")
BUDGET = Budget(step=0.1)
POINTS = grid(BASE, BUDGET)
NETWORKS = {point.arch.fingerprint for point in POINTS}


class Scores:
    """Scores by resolution and depth; stops after some networks, and fails those of one width."""

    def __init__(self, stop: int = 1000, failing: int = 0) -> None:
        self.stop, self.failing = stop, failing
        self.asked: list[str] = []

    def __call__(self, archs: Sequence[Architecture]) -> Iterator[tuple[int, float | Failure]]:
        for number, arch in reversed(list(enumerate(archs))):
            if len(self.asked) == self.stop:
                raise KeyboardInterrupt
            self.asked.append(arch.fingerprint)
            failed = arch.stem[0].out_channels == self.failing
            yield number, Failure("no such luck") if failed else _value(arch)


def _value(arch: Architecture) -> float:
    return 1 - 1 / (arch.resolution + len(arch.named_blocks()))


def scorer(scores: Scores) -> GridScorer:
    return GridScorer(metric="top1_proxy", text="made up", score=scores)


def test_every_network_is_scored_once_and_the_best_comes_first(tmp_path: Path) -> None:
    scores = Scores()
    rows = search(BASE, BUDGET, POINTS, scorer(scores), out=tmp_path)
    assert sorted(scores.asked) == sorted(NETWORKS)
    assert len(NETWORKS) < len(rows) == len(POINTS)
    assert [row.score for row in rows] == sorted((_value(p.arch) for p in POINTS), reverse=True)


def test_the_csv_holds_the_whole_grid(tmp_path: Path) -> None:
    rows = search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path)
    with (tmp_path / "grid.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [float(line["top1_proxy"]) for line in found] == [row.score for row in rows]
    assert [int(line["macs"]) for line in found] == [cost(row.point.arch).macs for row in rows]


def test_a_search_resumes_with_what_is_missing(tmp_path: Path) -> None:
    first = Scores(stop=4)
    with pytest.raises(KeyboardInterrupt):
        search(BASE, BUDGET, POINTS, scorer(first), out=tmp_path)
    second = Scores()
    rows = search(BASE, BUDGET, POINTS, scorer(second), out=tmp_path)
    assert set(first.asked) | set(second.asked) == NETWORKS
    assert not set(first.asked) & set(second.asked)
    assert rows == search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path / "whole")
    third = Scores()
    assert search(BASE, BUDGET, POINTS, scorer(third), out=tmp_path) == rows
    assert third.asked == []


def test_a_line_cut_by_a_kill_is_scored_again(tmp_path: Path) -> None:
    rows = search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path)
    path = tmp_path / "grid.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    again = Scores()
    assert search(BASE, BUDGET, POINTS, scorer(again), out=tmp_path) == rows
    assert len(again.asked) == 1


def test_failures_come_last_and_are_tried_again(tmp_path: Path) -> None:
    width = POINTS[0].arch.stem[0].out_channels
    rows = search(BASE, BUDGET, POINTS, scorer(Scores(failing=width)), out=tmp_path)
    failed = [row for row in rows if row.error]
    assert failed
    assert rows[-len(failed) :] == tuple(failed)
    assert {row.error for row in failed} == {"no such luck"}
    again = Scores()
    rows = search(BASE, BUDGET, POINTS, scorer(again), out=tmp_path)
    assert set(again.asked) == {row.point.arch.fingerprint for row in failed}
    assert not any(row.error for row in rows)


def test_nothing_but_failures_is_an_error(tmp_path: Path) -> None:
    few = [p for p in POINTS if p.arch.stem[0].out_channels == 16]
    with pytest.raises(NasError, match="every network failed; the first: no such luck"):
        search(BASE, BUDGET, few, scorer(Scores(failing=16)), out=tmp_path)


def test_another_search_is_refused(tmp_path: Path) -> None:
    search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path)
    other = GridScorer(metric="top1_proxy", text="someone else", score=Scores())
    with pytest.raises(RunError, match="its evaluator is 'made up', not 'someone else'"):
        search(BASE, BUDGET, POINTS, other, out=tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path)
    lines = (tmp_path / "grid.jsonl").read_text().splitlines()
    lines[2] = json.dumps({"fingerprint": "0", "score": "high"})
    (tmp_path / "grid.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"grid.jsonl, line 3: damaged"):
        search(BASE, BUDGET, POINTS, scorer(Scores()), out=tmp_path)


def test_without_an_accuracy_the_nearest_to_the_budget_comes_first(tmp_path: Path) -> None:
    rows = search(BASE, BUDGET, POINTS, GridScorer(), out=tmp_path)
    distance = [BUDGET.distance(row.point.ratio) for row in rows]
    assert distance == sorted(distance)


def test_a_model_must_know_every_network() -> None:
    with pytest.raises(
        NotInSpace, match=r"space mnasnet_b0: .*; .* mobilenetv3: .*`evaluator=train` or costs"
    ):
        by_model(POINTS)


def test_a_model_that_knows_them_all_scores_them(tmp_path: Path) -> None:
    space = load_space("mobilenetv3")
    small = space.decode(
        {k: v[0] for k, v in space.choices.items()}
    )  # 160 px, two layers in every stage
    known: list[Point] = []
    for alpha, gamma in ((1.5, 1.1), (1.0, 1.4), (2.0, 1.0)):
        found = grid(small, Budget(by="formula", step=0.1, factor=alpha * gamma**2, tolerance=0.01))
        known += [p for p in found if (p.by.alpha, p.by.beta, p.by.gamma) == (alpha, 1, gamma)]
    judged = by_model(known)
    rows = search(small, BUDGET, known, judged, out=tmp_path)
    assert judged.metric == "top1"
    assert len(rows) == 3
    assert 0.6 < rows[-1].score < rows[0].score < 0.8
