"""A second opinion on predicted accuracies: ridge regressions, each fitted without one family.

A search favours networks that its predictor overrates. Here a network is judged by a model of
another kind, which was fitted without the family of published networks that is nearest to it. The
file is an `.npz` without pickles whose entry `header` is a JSON string; see
`accuracy_models/README.md`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.accuracy.features import NAMES, Floats
from nas.accuracy.mlp import Weights, read_arrays, read_floats, read_header, write_arrays
from nas.accuracy.predictor import DECIMALS
from nas.core import data
from nas.core.blas import one_blas_thread
from nas.core.errors import BadValue
from nas.core.schema import SCHEMA, OneOf, Reader

SQUARED = tuple(i for i, name in enumerate(NAMES) if name[0] in "grwc")
"""Features whose squares are inputs too: sizes, resolution, widths and hidden channels."""

_FAR = 700.0
"""Logits beyond which the exponential leaves the range of float64."""
_ARRAYS = ("mean", "unit", "weights", "known", "family")


class Verdict(NamedTuple):
    """Accuracies (fractions), and the number of the family that each was judged without."""

    accuracy: Floats
    family: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgesHeader:
    """The content of the entry `header`; `families` are the names of the left-out families."""

    schema: int
    metric: Annotated[str, OneOf(("top1",))]
    families: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """A linear function of features and squares for each left-out family.

    Attributes:
        header: the families.
        mean, unit: the offset and scale by which each feature is standardised.
        weights: those of the features, of squares, and a constant, shape (families, inputs + 1).
        known: the standardised features of published networks, shape (networks, features).
        family: the number of the family of each published network.
    """

    header: JudgesHeader
    mean: Weights
    unit: Weights
    weights: Weights
    known: Weights
    family: Weights

    def __post_init__(self) -> None:
        """Reject arrays that do not fit each other."""
        count, families = len(NAMES), len(self.header.families)
        if self.family.ndim != 1 or not len(self.family):
            raise BadValue("family must have a number for each known network")
        wanted = {
            "mean": (count,),
            "unit": (count,),
            "weights": (families, count + len(SQUARED) + 1),
            "known": (len(self.family), count),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise BadValue(f"{name} must have the shape {shape}")
        if not all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS):
            raise BadValue("a number is not finite")
        if not (self.unit > 0).all():
            raise BadValue("unit must be above 0")
        if not families or not set(self.family.tolist()) <= set(range(families)):
            raise BadValue("family must have numbers of the families")

    @one_blas_thread()
    def __call__(self, features: Floats) -> Verdict:
        """Return the verdicts on networks with these features, shape (networks, `NAMES`)."""
        scaled = (features - self.mean) / self.unit
        family = self._nearest(scaled)
        logits = np.clip((inputs(scaled) * self.weights[family]).sum(axis=1), -_FAR, _FAR)
        return Verdict(np.round(1 / (1 + np.exp(-logits)), DECIMALS), family)

    def _nearest(self, scaled: Floats) -> NDArray[np.intp]:
        """Return the family of the published network nearest to each network."""
        squares = (scaled**2).sum(axis=1)[:, None] - 2 * scaled @ self.known.T
        nearest = (squares + (self.known.astype(float) ** 2).sum(axis=1)).argmin(axis=1)
        family: NDArray[np.intp] = self.family[nearest].astype(np.intp)
        return family


def inputs(scaled: Floats) -> Floats:
    """Return standardised features, their squares, and a 1, shape (networks, inputs + 1)."""
    squares = scaled[:, SQUARED] ** 2
    return np.concatenate([scaled, squares, np.ones((len(scaled), 1))], axis=1)


def load_judges(name: str | Path = "published_judges") -> Judges:
    """Return the bundled judges with this name, or those in an `.npz` file.

    Raises:
        UnknownName: if no bundled file has the name; it lists the closest ones.
        BadFile: if the file is malformed.
    """
    path = data.find("file of judges", name, where="accuracy_models", suffix=".npz")
    read, arrays = Reader(path), read_arrays(path)
    header = read_header(read, arrays, JudgesHeader)
    try:
        return Judges(header=header, **{n: read_floats(arrays, n) for n in _ARRAYS})
    except BadValue as error:
        raise read.fail(str(error)) from None


def write_judges(judges: Judges, path: Path) -> None:
    """Write `judges` to `path` atomically."""
    header = {**asdict(judges.header), "schema": SCHEMA, "families": list(judges.header.families)}
    write_arrays(path, header, {}, {name: getattr(judges, name) for name in _ARRAYS})
