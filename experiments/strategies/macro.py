"""NAS-Bench-Macro as a problem: 6,561 networks, each trained three times on CIFAR-10."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nas.accuracy.predictor import Floats
from nas.searching.problem import Candidates, Metrics, Objective, Problem
from nas.space.file import load_space
from nas.space.space import Matrix, Space

FILE = "nas-bench-macro_cifar10.json"
COSTS = {"macs": "flops", "params": "params"}
"""The file's keys of our metrics; its FLOPs are multiply-adds."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The networks of the file: their `rows`, the accuracies of three trainings, and costs."""

    space: Space
    rows: Matrix
    top1: Floats
    costs: Metrics

    @cached_property
    def _place(self) -> dict[bytes, int]:
        return {row.tobytes(): place for place, row in enumerate(self.rows)}

    def places(self, rows: Matrix) -> list[int]:
        """Return the positions of the networks of `rows` in the file."""
        return [self._place[row.tobytes()] for row in rows]

    def scores(self, rows: Matrix, cost: str) -> Floats:
        """Return minus the mean accuracy of all trainings, and the cost, shape (n, 2)."""
        at = self.places(rows)
        return np.stack([-self.top1.mean(axis=1)[at], self.costs[cost][at]], axis=1)


def load(folder: Path) -> Trained:
    """Read the file in `folder`."""
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    names = sorted(content)
    return Trained(
        space=load_space(Path(__file__).with_name("macro_space.yaml")),
        rows=np.array([[int(digit) for digit in name] for name in names], dtype=np.uint8),
        top1=np.array([content[name]["test_acc"] for name in names]) / 100,
        costs={
            metric: np.array([content[name][key] for name in names], dtype=float)
            for metric, key in COSTS.items()
        },
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """Returns the accuracy of one of the three trainings."""

    trained: Trained
    number: int
    provides: tuple[str, ...] = ("top1",)
    seconds: float = 3600.0
    note: str = ""

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return top1."""
        return {"top1": self.trained.top1[self.trained.places(candidates.picks), self.number]}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator."""
        return f"nas_bench_macro {self.number}"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Returns multiply-adds or parameters, which need no training."""

    trained: Trained
    metric: str
    seconds: float = 0.0
    note: str = ""

    @property
    def provides(self) -> tuple[str, ...]:
        """The one metric."""
        return (self.metric,)

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the cost."""
        return {self.metric: self.trained.costs[self.metric][self.trained.places(candidates.picks)]}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator."""
        return f"nas_bench_macro {self.metric}"


def problem_of(trained: Trained, cost: str, number: int) -> Problem:
    """Return the problem of the accuracy of training `number` against `cost`."""
    return Problem(
        space=trained.space,
        evaluators=(Cost(trained=trained, metric=cost), Training(trained=trained, number=number)),
        objectives=(Objective.parse("top1"), Objective.parse(cost)),
    )
