"""How well the process predicts a family of networks that was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.fit_published_accuracy.process import Process, Values, logit, percent, tune
from experiments.fit_published_accuracy.rows import NONE, Table, joined
from nas.accuracy.features import Floats

LEAST = 5
"""The least number of networks in a family that is left out."""

WITHIN = 1.6449
"""Half a 90 % interval, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Large:
    """Rows of the two large sets: a few for tuning, and more to condition on."""

    tuning: Table
    conditioning: Table


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A family that was left out: errors in points, and errors over deviations."""

    name: str
    errors: Floats
    ratios: Floats

    @property
    def mae(self) -> float:
        """The mean absolute error."""
        return float(np.abs(self.errors).mean())

    @property
    def bias(self) -> float:
        """The mean error, the family's own constant."""
        return float(self.errors.mean())

    @property
    def mae_without_bias(self) -> float:
        """The mean absolute error after subtracting the bias."""
        return float(np.abs(self.errors - self.errors.mean()).mean())

    def covered(self, deviations: float) -> float:
        """Return the share of networks within a number of standard deviations."""
        return float(np.mean(np.abs(self.ratios) < deviations))


def leave_out(published: Table, names: Sequence[str], large: Large) -> Sequence[LeftOut]:
    """Return the errors on every family, predicted by processes tuned and conditioned without it.

    A network keeps its own recipe, which other families may share; its family is unknown.
    """
    found = []
    for number, name in enumerate(names):
        inside = published.families == number
        if inside.sum() >= LEAST:
            rest = published.take(~inside)
            values = tune(joined([rest, large.tuning]))
            process = Process(joined([rest, large.conditioning]), values)
            found.append(judged(name, process, values, published.take(inside)))
    return found


def judged(name: str, process: Process, values: Values, rows: Table) -> LeftOut:
    """Return the errors of `process` on published networks of a family that it does not know."""
    new = replace(rows, families=np.full(len(rows), NONE))
    predicted = process(new)
    deviation = np.hypot(predicted.total, np.exp(values["noise"][0]))
    ratios = (predicted.mean - logit(rows.top1)) / deviation
    return LeftOut(name, percent(predicted.mean) - rows.top1, ratios)


def summary(found: Sequence[LeftOut]) -> dict[str, float]:
    """Return the errors over all families that were left out."""
    ratios = np.abs(np.concatenate([each.ratios for each in found]))
    return {
        "mean_of_maes": float(np.mean([each.mae for each in found])),
        "mean_of_maes_without_bias": float(np.mean([each.mae_without_bias for each in found])),
        "within_90": float(np.mean(ratios < WITHIN)),
        "within_68": float(np.mean(ratios < 1)),
    }
