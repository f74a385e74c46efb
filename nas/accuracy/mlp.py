"""Small networks that need only numpy, and the `.npz` files that hold them.

A file has arrays of float32 without pickles, and an entry `header`, a JSON string.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.core import strict_json
from nas.core.errors import BadFile, BadValue
from nas.core.files import atomic_path, open_regular
from nas.core.schema import Reader, check_schema

Floats = NDArray[np.float64]
Weights = NDArray[np.floating]
T = TypeVar("T")

_MAX_BYTES = 256 * 2**20

_LOWEST = -700.0
"""Below this, exp(-x) exceeds the range of float64, and x * sigmoid(x) is zero anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MLP:
    """A fully connected network with one output and x * sigmoid(x) between its layers.

    Attributes:
        weights: one matrix per layer, shape (inputs, outputs).
        biases: one vector per layer, shape (outputs,).
    """

    weights: tuple[Weights, ...]
    biases: tuple[Weights, ...]

    def __post_init__(self) -> None:
        """Reject layers that do not fit each other."""
        if not self.weights or len(self.weights) != len(self.biases):
            raise BadValue("a network needs layers, each with a weight and a bias")
        outputs = [weight.shape[-1] for weight in self.weights]
        inputs = [weight.shape[0] for weight in self.weights[1:]]
        if any(weight.ndim != 2 for weight in self.weights) or outputs != [*inputs, 1]:
            shapes = ", ".join(str(weight.shape) for weight in self.weights)
            raise BadValue(f"layers of shapes {shapes} do not chain to one output")
        if [bias.shape for bias in self.biases] != [(n,) for n in outputs]:
            shapes = ", ".join(str(bias.shape) for bias in self.biases)
            raise BadValue(f"biases of shapes {shapes} do not fit layers of {outputs} outputs")
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise BadValue("a weight is not a finite number")

    @property
    def inputs(self) -> int:
        """The length of an input."""
        return int(self.weights[0].shape[0])

    def __call__(self, inputs: NDArray[np.floating]) -> Floats:
        """Return the output for every row of `inputs`, shape (rows,), computed in float64."""
        hidden = inputs.astype(np.float64)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = hidden @ weight
            hidden += bias
            hidden /= 1 + np.exp(-np.maximum(hidden, _LOWEST))
        result: Floats = (hidden @ self.weights[-1])[:, 0] + self.biases[-1]
        return result


def write_arrays(
    path: Path,
    header: Mapping[str, Any],
    networks: Mapping[str, MLP],
    plain: Mapping[str, Weights] | None = None,
) -> None:
    """Write an `.npz` file of a header, networks and `plain` arrays atomically."""
    arrays: dict[str, Any] = {"header": np.array(strict_json.dumps(header)), **(plain or {})}
    for name, network in networks.items():
        for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            arrays |= {f"{name}_weight{i}": weight, f"{name}_bias{i}": bias}
    with atomic_path(path, follow=True) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of an `.npz` file without pickles.

    Raises:
        BadFile: if it is not such a file.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MAX_BYTES:
                raise ValueError(f"its unpacked content has more than {_MAX_BYTES / 2**20:g} MiB")
            return {name: arrays[name] for name in arrays.files}
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # numpy, zipfile and zlib raise many types for damaged files
        raise BadFile(f"{path}: not an .npz of plain arrays ({error})") from None


def read_header(read: Reader, arrays: Mapping[str, Any], kind: type[T]) -> T:
    """Return the record of class `kind` in the entry `header`.

    Raises:
        BadFile: if there is none, or it has another schema or form.
    """
    entry = arrays.get("header")
    if entry is None or entry.dtype.kind != "U" or entry.shape:
        raise read.fail("no entry 'header' with a JSON string")
    try:
        content = strict_json.parse(str(entry))
    except strict_json.Malformed as error:
        raise read.fail(f"header: {error}") from None
    inside = f"{read.path}: header"
    check_schema(read.get({"header": content}, "header", Mapping[str, Any]), place=inside)
    return Reader(inside).record(content, kind)


def read_network(arrays: Mapping[str, Any], name: str) -> MLP:
    """Return the network whose layers are stored under `name`.

    Raises:
        BadValue: if one is missing or does not fit the others.
    """
    layers = range(sum(entry.startswith(f"{name}_weight") for entry in arrays))
    try:
        return MLP(
            weights=tuple(read_floats(arrays, f"{name}_weight{i}") for i in layers),
            biases=tuple(read_floats(arrays, f"{name}_bias{i}") for i in layers),
        )
    except BadValue as error:
        raise BadValue(f"network {name!r}: {error}") from None


def read_floats(arrays: Mapping[str, Any], name: str) -> Weights:
    """Return one array of float32.

    Raises:
        BadValue: if it is missing or has another type.
    """
    array: NDArray[Any] | None = arrays.get(name)
    if array is None or array.dtype != np.float32:
        raise BadValue(f"{name} must be float32, found {'none' if array is None else array.dtype}")
    return array
