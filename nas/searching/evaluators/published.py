"""Accuracy on the published scale, from features of the blocks; for any space of MBConv blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from nas.accuracy.feature_model import PicksModel, load_feature_model
from nas.accuracy.judges import Judges, load_judges
from nas.accuracy.predictor import DECIMALS
from nas.core.errors import NasError
from nas.core.plugins import Plugin
from nas.searching.problem import Candidates, Floats, Metrics
from nas.space.space import Space

WALL = 0.045
"""Logits. A search is kept to networks of which the predictor is at least so sure."""
_STEEPNESS = 5.0
"""How often what a deviation exceeds the wall by is taken off."""
KINDS = ("conv", "separable", "mbconv")
"""The kinds of blocks of the networks that the predictor was fitted on, and near ones."""
_EXPECT = "top1: expect about a point less of what a search found"
"""Measured: `experiments/fit_published_accuracy/optimism.py`."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Predicts the top-1 that the networks of a space would be published with.

    `top1` is the mean of the prediction. `top1_lcb`, its lower confidence bound, is the mean less
    `caution` standard deviations, those of a network of a known family: a search that maximises it
    is not drawn to what the predictor knows least of. Beyond `WALL` the bound falls steeply.
    """

    model: PicksModel
    judges: Judges | None = None
    caution: float = 1.0
    provides: tuple[str, ...] = ("top1", "top1_lcb")
    guide: str = "top1_lcb"
    seconds: float = 1e-5

    @cached_property
    def note(self) -> str:
        """The note of the model, how careful the bound is, and what of the space lies outside."""
        bound = (
            f"top1_lcb: top1 less {self.caution:g} times its standard deviation, without the share "
            "of a family (± includes it); less still where the predictor knows little"
        )
        judges = "judged: a second opinion, by ridge regressions without the nearest family"
        second = judges if self.judges else ""
        said = (self.model.model.header.note, _EXPECT, bound, second, self.model.outside())
        return "\n".join(filter(None, said))

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the predicted top-1 of every candidate and its lower bound, fractions."""
        found = self.model(candidates.picks, family=False)
        mean: Floats = found.accuracy
        deviation: Floats = found.deviation
        wall = WALL * mean * (1 - mean)
        uncertainty: Floats = deviation + _STEEPNESS * np.maximum(deviation - wall, 0.0)
        bound = np.maximum(mean - self.caution * uncertainty, 0.0)
        return {"top1": mean, "top1_lcb": np.asarray(np.round(bound, DECIMALS))}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return the standard deviation of every prediction, a fraction, family and all."""
        return {"top1": self.model(candidates.picks).deviation}

    def judged(self, candidates: Candidates) -> Floats | None:
        """Return what models of another kind say, fitted without the family nearest to each."""
        if self.judges is None:
            return None
        return self.judges(self.model.described(candidates.picks)).accuracy

    def beyond(self, candidates: Candidates) -> Sequence[str]:
        """Say in what each candidate lies outside of the data, or nothing."""
        return self.model.beyond(candidates.picks)

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"published:{self.model.model.fingerprint} caution={self.caution:g}"


def create(space: Space, *, path: str = "", caution: float = 1.0) -> Published:
    """Return the evaluator for one space, from the bundled model or the file at `path`.

    Raises:
        BadFile: if the file is malformed.
        NasError: if `caution` is below 0.
    """
    if not caution >= 0:
        raise NasError(f"caution must be a number >= 0, not {caution:g}")
    rows = (row.options["kind"] for row in space.stages)
    kinds = {Plugin.parse(str(kind)).name for kind in chain.from_iterable(rows)}
    if unknown_kinds := sorted(kinds - set(KINDS)):
        raise NasError(
            f"evaluator published knows networks of {', '.join(KINDS)} blocks, and space "
            f"{space.name} has {', '.join(unknown_kinds)}; take `evaluator=proxy` or another one"
        )
    model = load_feature_model(path or "published").over(space)
    return Published(model=model, judges=None if path else load_judges(), caution=caution)
