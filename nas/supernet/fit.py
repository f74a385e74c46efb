"""From the accuracy with shared weights to that of a training of its own, by a line."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.core.data import read_mapping
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

    Of several trainings of a network the mean counts. Those that began with other weights are left
    out where some began with random ones.

    Raises:
        NasError: if there are too few.
    """
    trainings = list(_trained(folder, scorer))
    random = [one for one in trainings if not one.inherits]
    by_network = defaultdict[Architecture, list[float]](list)
    for one in random or trainings:
        by_network[one.arch].append(one.top1)
    found = [(scorer.top1(arch), float(np.mean(top1))) for arch, top1 in by_network.items()]
    if len(found) < LEAST:
        raise NasError(
            f"{folder} has trainings of {len(found)} networks of space "
            f"{scorer.supernet.space.name} on {scorer.data.name}; {LEAST} or more are needed"
        )
    shared, trained = np.array(found, dtype=np.float64).T
    return fit_line(shared, trained)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """A training of a network of the supernet, and whether it began with other weights."""

    arch: Architecture
    top1: float
    inherits: bool


def _trained(folder: Path, scorer: Scorer) -> Iterator[_Training]:
    """Yield the trainings in the folders in `folder`, of networks of the supernet."""
    for mark in sorted(folder.glob(f"*/{TRAINING.mark}")):
        path = mark.with_name(f"{BEST}{SUFFIX}")
        if not path.is_file():
            continue
        facts, arch = read_header(path), architecture_of(path)
        if facts.data.fingerprint != scorer.data.fingerprint:
            continue
        try:
            own = scorer.supernet.subnet_arch(arch)
        except NotInSpace:
            continue
        top1, inherits = float(facts.progress["top1"]), "weights" in read_mapping(mark)
        yield _Training(arch=own, top1=top1, inherits=inherits)
