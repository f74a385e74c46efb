"""Predict the published top-1 accuracy of any classifier of MBConv blocks from its features.

Where an `AccuracyModel` covers one space, this model covers all networks that its features
describe: the rows of any such space, the networks of the zoo, pruned and scaled ones. A file is an
`.npz` without pickles whose entry `header` is a JSON string, described in
`accuracy_models/README.md`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np

from nas.accuracy.features import NAMES, Floats, features
from nas.accuracy.kernels import largest_kernel, largest_kernels
from nas.accuracy.mlp import (
    MLP,
    Weights,
    read_arrays,
    read_floats,
    read_header,
    read_network,
    write_arrays,
)
from nas.accuracy.picks import PicksFeatures
from nas.accuracy.predictor import DECIMALS, Accuracy
from nas.core import data
from nas.core.blas import one_blas_thread
from nas.core.errors import BadValue
from nas.core.schema import SCHEMA, OneOf, Range, Reader
from nas.network.blocks import Architecture
from nas.space.space import Matrix, Space

_ROWS = 2_048
_WIDENING = 0.05
"""Logits added to the standard deviation per deviation of a feature outside the data."""

_GROUPS = {
    "g": "size",
    "r": "resolution",
    "h": "features before the classifier",
    "n": "depth",
    "w": "width",
    "e": "expansion",
    "k": "kernels",
    "s": "squeeze-and-excitation",
    "a": "activations",
    "c": "hidden channels",
    "x": "shortcuts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureHeader:
    """The content of the entry `header`.

    `family` is the standard deviation, in logits, of an offset common to a new family of networks;
    `left_out` is the mean absolute error, a fraction, on families left out of the fit.
    """

    schema: int
    metric: Annotated[str, OneOf(("top1",))]
    features: tuple[str, ...]
    source: str
    note: str
    family: Annotated[float, Range(0, 10)]
    left_out: Annotated[float, Range(0, 1)]

    def __post_init__(self) -> None:
        """Reject features that this version does not know."""
        for name in self.features:
            if name not in NAMES:
                raise BadValue(f"feature {name!r} is unknown to this version", "features")


@dataclass(frozen=True, kw_only=True)
class FeatureModel:
    """Logits of top-1: the mean is a linear part plus a network; another network gives deviations.

    Attributes:
        header: what it predicts, from which features, and how well.
        mean, unit: the offset and scale by which each feature is standardised.
        low, high: the least and the largest value of every feature in the data.
        linear: the weight of each feature in the linear part.
        network: the non-linear part of the mean.
        spread: the natural logarithm of the standard deviation, in logits, without the family's.
    """

    header: FeatureHeader
    mean: Weights
    unit: Weights
    low: Weights
    high: Weights
    linear: Weights
    network: MLP
    spread: MLP

    def __post_init__(self) -> None:
        """Reject arrays that do not fit the features."""
        count = len(self.header.features)
        for name in _ARRAYS:
            if getattr(self, name).shape != (count,):
                raise BadValue(f"{name} must have a number for each of {count} features")
        if not (self.unit > 0).all():
            raise BadValue("unit must be above 0")
        if {self.network.inputs, self.spread.inputs} != {count}:
            raise BadValue(f"the networks must have {count} inputs")

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal models."""
        arrays = [getattr(self, name) for name in _ARRAYS]
        arrays += [a for n in (self.network, self.spread) for a in (*n.weights, *n.biases)]
        content = repr(self.header).encode() + b"".join(a.tobytes() for a in arrays)
        return hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def _columns(self) -> list[int]:
        return [NAMES.index(name) for name in self.header.features]

    def predict(
        self, archs: Architecture | Sequence[Architecture], *, family: bool = True
    ) -> Accuracy:
        """Return the accuracies of architectures; without `family`, its deviation is left out.

        Example:
            >>> from nas.network.zoo import load_architecture
            >>> load_feature_model().predict(load_architecture("mobilenet_v3_large")).accuracy
            array([0.747...])
        """
        return self.predict_features(features(archs), family=family, kernels=_kernels(archs))

    def over(self, space: Space) -> "PicksModel":
        """Return the model of one space, which maps matrices of picks to accuracies."""
        return PicksModel(self, PicksFeatures(space))

    @one_blas_thread()
    def predict_features(
        self, found: Floats, *, family: bool = True, kernels: Floats | None = None
    ) -> Accuracy:
        """Return the accuracies of networks with these features, shape (networks, `NAMES`).

        `kernels` are the sides of their largest kernels, which a deviation is the wider for.
        """
        inputs = self._standardised(found)
        logits = inputs @ self.linear.astype(float) + self.network(inputs)
        spread = np.exp(self.spread(inputs))
        spread = np.hypot(spread, _WIDENING * self._excess(inputs, kernels).sum(axis=1))
        spread = np.hypot(spread, self.header.family if family else 0.0)
        accuracy = 1 / (1 + np.exp(-logits))
        deviation = spread * accuracy * (1 - accuracy)
        return Accuracy(np.round(accuracy, DECIMALS), np.round(deviation, DECIMALS))

    def _standardised(self, found: Floats) -> Floats:
        standardised: Floats = (found[:, self._columns] - self.mean) / self.unit
        return standardised

    def _excess(self, inputs: Floats, kernels: Floats | None) -> Floats:
        """Return by how many standard deviations every feature lies outside of the data.

        The last column is of the largest kernels, in units of the mean kernel.
        """
        low, high = ((edge - self.mean) / self.unit for edge in (self.low, self.high))
        excess = np.maximum(0, np.maximum(low - inputs, inputs - high))
        largest, unit = self.largest_kernel
        over = np.zeros(len(inputs)) if kernels is None else np.maximum(0, kernels - largest) / unit
        return np.column_stack([excess, over])

    @cached_property
    def largest_kernel(self) -> tuple[float, float]:
        """The largest kernel in the data, and a standard deviation of the mean one, in pixels."""
        named = [i for i, name in enumerate(self.header.features) if name.startswith("k_")]
        if not named:
            return np.inf, 1.0
        return 3 + 2 * float(self.high[named].max()), 2 * float(self.unit[named].max())

    def outside(self, arch: Architecture) -> str:
        """Describe in which features a network lies outside of the data; "" if in none.

        Example:
            >>> from nas.network.zoo import load_architecture
            >>> load_feature_model().outside(load_architecture("efficientnet_b7"))
            'size, resolution beyond the networks that the predictor was fitted on'
        """
        return self.beyond(features(arch), _kernels(arch))[0]

    def beyond(self, found: Floats, kernels: Floats | None = None) -> list[str]:
        """Describe, for each row of features, which lie outside of the data; "" if none."""
        groups = self.groups_beyond(found, kernels)
        return [f"{', '.join(g)} beyond {_DATA}" if g else "" for g in groups]

    def groups_beyond(self, found: Floats, kernels: Floats | None = None) -> list[tuple[str, ...]]:
        """Return the groups of features in which each network lies outside of the data."""
        groups = [_GROUPS[name.split("_")[0]] for name in (*self.header.features, "k")]
        return [
            tuple(dict.fromkeys(g for g, e in zip(groups, excess, strict=True) if e > _SLACK))
            for excess in self._excess(self._standardised(found), kernels)
        ]

    def widening(self, found: Floats, kernels: Floats | None = None) -> Floats:
        """Return the factor by which each interval is wider than for a network in the data."""
        inputs = self._standardised(found)
        inside = np.exp(self.spread(inputs))
        excess = self._excess(inputs, kernels).sum(axis=1)
        wider: Floats = np.hypot(inside, _WIDENING * excess) / inside
        return wider


@dataclass(frozen=True, slots=True)
class PicksModel:
    """A `FeatureModel` for one space: it predicts some 100,000 rows of picks per second."""

    model: FeatureModel
    described: PicksFeatures

    def __call__(self, matrix: Matrix, *, family: bool = True) -> Accuracy:
        """Return the accuracies of the rows of a matrix; `family` as in `FeatureModel.predict`."""
        parts = [
            self._predicted(matrix[i : i + _ROWS], family=family)
            for i in range(0, len(matrix), _ROWS)
        ]
        return Accuracy(*map(np.concatenate, zip(*parts, strict=True))) if parts else _NOTHING

    def _predicted(self, matrix: Matrix, *, family: bool) -> Accuracy:
        found, kernels = self._described(matrix)
        return self.model.predict_features(found, family=family, kernels=kernels)

    def beyond(self, matrix: Matrix) -> list[str]:
        """Describe in which features each row lies outside of the data; "" if in none."""
        return self.model.beyond(*self._described(matrix))

    def _described(self, matrix: Matrix) -> tuple[Floats, Floats | None]:
        """Return the features of rows, and their largest kernels if some may be too large."""
        space, (largest, _) = self.described.space, self.model.largest_kernel
        usual = all(float(k) <= largest for row in space.stages for k in row.options["kernel"])
        return self.described(matrix), None if usual else largest_kernels(space, matrix)

    def outside(self) -> str:
        """Describe in which features most of the space lies outside of the data; "" if in none."""
        rows = self.described.space.sample_matrix(np.random.default_rng(0), _SAMPLE)
        described = self._described(rows)
        groups = self.model.groups_beyond(*described)
        far = [of_row for of_row in groups if of_row]
        if 2 * len(far) <= len(rows):
            return ""
        named = dict.fromkeys(group for of_row in far for group in of_row)
        wider = float(np.median(self.model.widening(*described)[[bool(g) for g in groups]]))
        return (
            f"{100 * len(far) / len(rows):.0f} % of space {self.described.space.name} lie beyond "
            f"{_DATA} ({', '.join(named)}): their intervals are {wider:.1f} times as wide"
        )


def _kernels(archs: Architecture | Sequence[Architecture]) -> Floats:
    archs = [archs] if isinstance(archs, Architecture) else archs
    return np.array([largest_kernel(arch) for arch in archs], dtype=float)


_ARRAYS = ("mean", "unit", "low", "high", "linear")
_NETWORKS = ("network", "spread")
_SLACK = 0.05
_SAMPLE = 500
_DATA = "the networks that the predictor was fitted on"
_NOTHING = Accuracy(np.zeros(0), np.zeros(0))


def load_feature_model(name: str | Path = "published") -> FeatureModel:
    """Return the bundled feature model with this name, or the one in an `.npz` file.

    Raises:
        UnknownName: if no bundled model has the name; it lists the closest ones.
        BadFile: if the file is malformed.
    """
    path = data.find("accuracy model", name, where="accuracy_models", suffix=".npz")
    read, arrays = Reader(path), read_arrays(path)
    header = read_header(read, arrays, FeatureHeader)
    try:
        network, spread = (read_network(arrays, name) for name in _NETWORKS)
        plain = {name: read_floats(arrays, name) for name in _ARRAYS}
        return FeatureModel(header=header, network=network, spread=spread, **plain)
    except BadValue as error:
        raise read.fail(str(error)) from None


def write_feature_model(model: FeatureModel, path: Path) -> None:
    """Write `model` to `path` atomically."""
    header = {**asdict(model.header), "schema": SCHEMA, "features": list(model.header.features)}
    plain = {name: getattr(model, name) for name in _ARRAYS}
    write_arrays(path, header, {name: getattr(model, name) for name in _NETWORKS}, plain)
