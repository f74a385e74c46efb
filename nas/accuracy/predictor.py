"""Predict ImageNet accuracy from picks with small networks that need only numpy.

A model belongs to one space. Its input is the one-hot encoding of the picks, all zero for inactive
choices; one network predicts the accuracy, a second one the logarithm of its standard deviation. A
file of weights is an `.npz` without pickles whose entry `header` is a JSON string, described in
`accuracy_models/README.md`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from nas.accuracy.mlp import MLP as MLP
from nas.accuracy.mlp import Floats as Floats
from nas.accuracy.mlp import Weights as Weights
from nas.accuracy.mlp import read_arrays, read_header, read_network, write_arrays
from nas.core import data
from nas.core.blas import one_blas_thread
from nas.core.errors import BadValue
from nas.core.schema import SCHEMA, OneOf, Range, Reader, Signed
from nas.core.text import LONGEST_VALUE, printable, shown
from nas.network.blocks import Architecture
from nas.space.file import load_space
from nas.space.space import Matrix, Space

DECIMALS = 6
"""Predictions, as fractions, are rounded to this many decimals. They are computed in float64, whose
noise near 1e-15 differs between processors and batches; no model is meaningful below 1e-4."""

_ROWS = 512
"""Rows of each matrix product, few enough for the processor's cache."""

_NETWORKS = ("mean", "spread")
_Moderate = Annotated[float, Range(-100, 100)]
METRICS = ("top1", "top1_proxy")
"""`top1` after full training, `top1_proxy` after a shortened training scheme."""


class Accuracy(NamedTuple):
    """Predicted top-1 accuracies and their standard deviations, fractions, shape (n,)."""

    accuracy: Floats
    deviation: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The mapping from the scale of the data to the reported scale, in fractions.

    Accuracy `a` becomes `intercept + slope * a`; `deviation` is the standard deviation of the
    residual of this mapping, which is part of every predicted deviation.
    """

    intercept: _Moderate = 0.0
    slope: _Moderate = 1.0
    deviation: Annotated[float, Range(0, 100)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """The errors of a model on rows that it was not fitted on.

    `tau` is Kendall's tau-b, `mae` a fraction on the scale of the data; `within_one` and
    `within_two` are the fractions of rows within one and two predicted standard deviations (0.68
    and 0.95 if normal).
    """

    rows: int
    tau: Signed
    r2: Signed
    mae: float
    within_one: float
    within_two: float


@dataclass(frozen=True, kw_only=True)
class AccuracyModel:
    """The accuracy of every architecture of one space.

    Attributes:
        domain: the space whose picks it reads.
        metric: what it predicts, one of `METRICS`.
        source: the data it was fitted on, and their authors.
        note: a sentence to be shown with every prediction.
        mean: the network for the accuracy, on the scale of the data.
        spread: the network for the natural logarithm of the standard deviation, on the same scale.
        scale: the mapping from the scale of the data to the reported one.
        held_out: its errors on rows that it was not fitted on, None if not measured.
        fitted_range: the least and the largest accuracy that it was fitted on, on the scale of the
            data, None if unknown; predictions beyond them are extrapolated.
    """

    domain: Space
    metric: str
    source: str
    note: str
    mean: MLP
    spread: MLP
    scale: Scale = Scale()
    held_out: HoldOut | None = None
    fitted_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Reject an unknown metric, and networks of another space."""
        if self.metric not in METRICS:
            raise BadValue(f"metric must be {' or '.join(METRICS)}, not {self.metric!r}")
        wanted = int(self.domain.widths.sum())
        for network in (self.mean, self.spread):
            if network.inputs != wanted:
                raise BadValue(
                    f"a network has {network.inputs} inputs; space {self.space} needs {wanted}"
                )

    @property
    def space(self) -> str:
        """The name of the space."""
        return self.domain.name

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal weights and scale."""
        return self._fingerprint({name: float(v) for name, v in asdict(self.scale).items()})

    @cached_property
    def earlier_fingerprints(self) -> frozenset[str]:
        """The fingerprints by earlier versions, which differ if a file had 1 for 1.0."""
        numbers = asdict(self.scale)
        ways = [(float(v), int(v)) if v == int(v) else (float(v),) for v in numbers.values()]
        scales = (dict(zip(numbers, way, strict=True)) for way in product(*ways))
        return frozenset(map(self._fingerprint, scales))

    def _fingerprint(self, scale: Mapping[str, float]) -> str:
        networks = (self.mean, self.spread)
        arrays = [a for network in networks for a in (*network.weights, *network.biases)]
        content = repr(Scale(**scale)).encode() + b"".join(array.tobytes() for array in arrays)
        return hashlib.sha256(content).hexdigest()[:16]

    def outside(self, accuracy: float) -> str:
        """Describe how a predicted accuracy lies outside of the fitted range; "" if inside.

        Example:
            >>> load_accuracy_model("mnasnet_b0").outside(0.3)
            'below the 42.85 % of the worst network that the model was fitted on'
        """
        if self.fitted_range is None:
            return ""
        low, high = sorted(self._scaled(np.array(self.fitted_range)).tolist())
        if low <= accuracy <= high:
            return ""
        if accuracy < low:
            return f"below the {100 * low:.2f} % of the worst network that the model was fitted on"
        return f"above the {100 * high:.2f} % of the best network that the model was fitted on"

    def predict(self, archs: Architecture | Sequence[Architecture]) -> Accuracy:
        """Return the accuracies of `archs`; `predict_matrix` is a hundred times faster.

        Raises:
            NotInSpace: if one is not in the model's space.
        """
        archs = [archs] if isinstance(archs, Architecture) else archs
        rows = [self.domain.pack(self.domain.encode(arch)) for arch in archs]
        shape = (len(rows), len(self.domain.columns))
        return self.predict_matrix(np.array(rows, dtype=np.uint8).reshape(shape))

    def predict_matrix(self, matrix: Matrix) -> Accuracy:
        """Return the accuracies of the rows of a matrix of picks, canonical or not.

        They are rounded to `DECIMALS`, so that a row gives the same numbers on every machine and in
        every batch.
        """
        mean, spread = self._run(matrix, (self.mean, self.spread))
        own = self.scale.slope * np.exp(spread)
        deviation = np.round(np.hypot(own, self.scale.deviation), DECIMALS)
        return Accuracy(self._scaled(mean), deviation)

    def accuracy(self, matrix: Matrix) -> Floats:
        """Return only the accuracies of `predict_matrix`, in less time."""
        return self._scaled(self._run(matrix, (self.mean,))[0])

    def _scaled(self, mean: Floats) -> Floats:
        return np.round(self.scale.intercept + self.scale.slope * mean, DECIMALS)

    @one_blas_thread()
    def _run(self, matrix: Matrix, networks: Sequence[MLP]) -> Floats:
        """Return the outputs of `networks`, shape (networks, rows)."""
        result = np.empty((len(networks), len(matrix)))
        exact = [replace(n, weights=tuple(w.astype(float) for w in n.weights)) for n in networks]
        for start in range(0, len(matrix), _ROWS):
            inputs = one_hot(self.domain, matrix[start : start + _ROWS])
            for output, network in zip(result, exact, strict=True):
                output[start : start + _ROWS] = network(inputs)
        return result


def one_hot(space: Space, matrix: Matrix) -> Weights:
    """Return the network inputs for rows of `space`, shape (rows, sum of widths)."""
    widths = space.widths
    column = np.repeat(np.arange(len(widths)), widths)
    value = np.concatenate([np.arange(n, dtype=np.uint8) for n in widths])
    chosen = np.where(space.active(matrix), matrix, np.uint8(255))
    inputs: Weights = (chosen[:, column] == value).astype(np.float32)
    return inputs


def domain_fingerprint(space: Space) -> str:
    """Return a hash of the networks that the picks of `space` describe, without drop rates."""
    return replace(space, dropout=0.0, drop_connect=0.0).fingerprint


def modelled_spaces() -> tuple[str, ...]:
    """Return the names of the bundled spaces that have a bundled model."""
    spaces = data.bundled("search_spaces")
    return tuple(name for name in data.bundled("accuracy_models", ".npz") if name in spaces)


def load_accuracy_model(name: str | Path | Space, space: Space | None = None) -> AccuracyModel:
    """Return the bundled model of a space, or the model in an `.npz` file.

    `name` is the space, its name, or a path; a model for a space that is not bundled needs the
    `space` too.

    Raises:
        UnknownName: if no bundled model has the name; it lists the closest ones.
        BadFile: if the file is malformed, or belongs to a space with other choices.
    """
    if isinstance(name, Space):
        return load_accuracy_model(name.name, name)
    path = data.find("accuracy model", name, where="accuracy_models", suffix=".npz")
    return _from_arrays(Reader(path), read_arrays(path), space)


def write_accuracy_model(model: AccuracyModel, path: Path) -> None:
    """Write `model` to `path` atomically."""
    header = _Header(
        schema=SCHEMA,
        space=model.space,
        fingerprint=domain_fingerprint(model.domain),
        **{name: getattr(model, name) for name in _SAID},
    )
    write_arrays(path, asdict(header), {name: getattr(model, name) for name in _NETWORKS})


_SAID = ("metric", "source", "note", "scale", "held_out", "fitted_range")
"""The fields of the header that become attributes of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The content of the entry `header`."""

    schema: int
    space: str
    fingerprint: str
    metric: Annotated[str, OneOf(METRICS)]
    source: str
    note: str
    scale: Scale
    held_out: HoldOut | None
    fitted_range: tuple[float, float] | None = None  # older files have none

    def __post_init__(self) -> None:
        """Reject an unordered range, and empty texts."""
        if self.fitted_range and self.fitted_range[0] > self.fitted_range[1]:
            raise BadValue("fitted_range must be the least value and the largest", "fitted_range")
        for name in ("space", "source", "note"):
            if not getattr(self, name):
                raise BadValue(f"{name} must be text", name)


def _from_arrays(read: Reader, arrays: Mapping[str, Any], space: Space | None) -> AccuracyModel:
    header = read_header(read, arrays, _Header)
    space = load_space(header.space) if space is None else space
    if header.fingerprint != domain_fingerprint(space):
        raise read.fail(
            f"the model was fitted to networks of space {printable(header.space, LONGEST_VALUE)}; "
            f"those of this space {space.name} have other choices, widths, resolutions or "
            "activations: fit one for it"
        )
    try:
        mean, spread = (read_network(arrays, name) for name in _NETWORKS)
        if len(arrays) != 1 + 2 * (len(mean.weights) + len(spread.weights)):
            raise BadValue(f"entries besides the header and the layers: {shown(sorted(arrays))}")
        facts = {name: getattr(header, name) for name in _SAID}
        return AccuracyModel(domain=space, mean=mean, spread=spread, **facts)
    except BadValue as error:
        raise read.fail(str(error)) from None
