"""An evaluator for tests: a made-up accuracy from the picks, with an optional delay."""

import time
from dataclasses import dataclass

import numpy as np

from nas.searching.problem import Candidates, Metrics
from nas.space.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    delay: float
    provides: tuple[str, ...] = ("top1",)
    seconds: float = 0.01
    note: str = "made up"

    def __call__(self, candidates: Candidates) -> Metrics:
        time.sleep(self.delay * len(candidates))
        weights = 1 + np.arange(candidates.picks.shape[1])
        return {"top1": 1 - 1 / (2 + candidates.picks @ weights / 100)}

    def deviation(self, candidates: Candidates) -> Metrics:
        return {}

    def __str__(self) -> str:
        return "plain"


def create(space: Space, *, delay: float = 0.0) -> Plain:
    return Plain(delay=delay)
