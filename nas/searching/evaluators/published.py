"""Accuracy on the published scale, from features of the blocks; for any space of MBConv blocks."""

from dataclasses import dataclass

import numpy as np

from nas.accuracy.feature_model import PicksModel, load_feature_model
from nas.searching.problem import Candidates, Metrics
from nas.space.space import Space


@dataclass(frozen=True, slots=True)
class Published:
    """Predicts the top-1 that the networks of a space would be published with.

    `caution` deviations, without the constant of a family, are taken off every accuracy: what a
    search finds is then good beyond what the predictor may be wrong about.
    """

    model: PicksModel
    caution: float = 0.0
    provides: tuple[str, ...] = ("top1",)
    seconds: float = 1e-5

    @property
    def note(self) -> str:
        """The note of the model, and how careful its numbers are."""
        note = self.model.model.header.note
        return f"{note}; {self.caution:g} deviations are taken off" if self.caution else note

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the predicted top-1 of every candidate, a fraction."""
        accuracy, deviation = self.model(candidates.picks, family=False)
        return {"top1": np.maximum(accuracy - self.caution * deviation, 0.0)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return the standard deviation of every prediction, a fraction."""
        return {"top1": self.model(candidates.picks).deviation}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"published:{self.model.model.fingerprint} caution={self.caution:g}"


def create(space: Space, *, path: str = "", caution: float = 0.0) -> Published:
    """Return the evaluator for one space, from the bundled model or the file at `path`.

    Raises:
        BadFile: if the file is malformed.
    """
    return Published(load_feature_model(path or "published").over(space), caution)
