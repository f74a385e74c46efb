"""From the accuracy with shared weights to that of a training of its own, by a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError, NotInSpace
from nas.core.run_folder import TRAINING
from nas.network.blocks import Architecture
from nas.network.checkpoint import BEST, SUFFIX, architecture_of, read_header
from nas.supernet.scoring import Scorer

LEAST = 4
"""Trained networks that a line needs, with which its deviation means something."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The least-squares line through the accuracies of `count` networks that were trained alone.

    `mean` and `spread` are those of their accuracies with shared weights, `deviation` that of the
    trained ones from the line.
    """

    offset: float
    slope: float
    deviation: float
    mean: float
    spread: float
    count: int

    def predict(self, shared: Floats) -> Floats:
        """Return the accuracies to expect of trainings, from those with shared weights."""
        return np.clip(self.offset + self.slope * shared, 0.0, 1.0)

    def deviations(self, shared: Floats) -> Floats:
        """Return one standard deviation of each prediction, more beyond the networks it knows."""
        away = (shared - self.mean) ** 2 / max(self.spread, 1e-12)
        found: Floats = self.deviation * np.sqrt(1 + 1 / self.count + away)
        return found


def fit_line(shared: Floats, trained: Floats) -> Line:
    """Return the line from accuracies with shared weights to those of trainings."""
    mean, count = float(shared.mean()), len(shared)
    spread = float(((shared - mean) ** 2).sum())
    slope = float(((shared - mean) * (trained - trained.mean())).sum()) / max(spread, 1e-12)
    offset = float(trained.mean()) - slope * mean
    squares = float(((trained - offset - slope * shared) ** 2).sum())
    return Line(
        offset=offset,
        slope=slope,
        deviation=max(sqrt(squares / (count - 2)), 1e-4),
        mean=mean,
        spread=spread,
        count=count,
    )


def line_of(folder: Path, scorer: Scorer) -> Line:
    """Return the line through the trainings in `folder`, of networks of the supernet, on its data.

    Raises:
        NasError: if there are too few.
    """
    found = [(scorer.top1(arch), top1) for arch, top1 in _trained(folder, scorer)]
    if len(found) < LEAST:
        raise NasError(
            f"{folder} has trainings of {len(found)} networks of space "
            f"{scorer.supernet.space.name} on {scorer.data.name}; {LEAST} or more are needed"
        )
    shared, trained = np.array(found, dtype=np.float64).T
    return fit_line(shared, trained)


def _trained(folder: Path, scorer: Scorer) -> Iterator[tuple[Architecture, float]]:
    """Yield the networks of the supernet that were trained in a folder of `folder`, and top-1."""
    for mark in sorted(folder.glob(f"*/{TRAINING.mark}")):
        path = mark.with_name(f"{BEST}{SUFFIX}")
        if not path.is_file():
            continue
        facts, arch = read_header(path), architecture_of(path)
        if facts.data.fingerprint != scorer.data.fingerprint:
            continue
        try:
            yield scorer.supernet.subnet_arch(arch), float(facts.progress["top1"])
        except NotInSpace:
            continue
