"""A latency backend in a file: runs the multiply-adds of units as matrix products in numpy.

    nas latency measure --space mbconv_64 --backend my_plugins.numpy_backend --out mine.yaml

A model is what its layers multiply, as JSON; opening it makes the matrices, a run multiplies them.
It is no way to run networks, but shows all that a backend is.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np

from nas.core.errors import NasError
from nas.latency.backends import Run, check_options, timed
from nas.network.cost import cost_of
from nas.network.layers import Unit


class Numpy:
    """Multiplies matrices of 32-bit floats."""

    suffix = ".json"
    dtype = "fp32"

    def __init__(self, threads: int) -> None:
        """Remember how many threads to count with."""
        self._threads = threads

    @property
    def runtime(self) -> str:
        """The runtime and its version."""
        return f"numpy {np.__version__}"

    def compile(self, units: Sequence[Unit]) -> bytes:
        """Return the sizes of the products that stand for `units`."""
        sizes = [[unit.out_shape[0], 64, 1 + int(cost_of(unit).macs) // 64] for unit in units]
        limited = [[rows, inner, min(columns // rows + 1, 4096)] for rows, inner, columns in sizes]
        return json.dumps({"products": limited}).encode()

    def open(self, model: bytes) -> Run:
        """Return the function that does the products of a model, and returns their seconds."""
        try:
            products = json.loads(model)["products"]
            pairs = [_pair(*map(int, size)) for size in products]
        except (ValueError, KeyError, TypeError):
            raise NasError("numpy_backend: this is no model of products") from None
        return timed(_multiplied(pairs), threads=self._threads)


def _pair(rows: int, inner: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones((rows, inner), np.float32), np.ones((inner, columns), np.float32)


def _multiplied(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Callable[[], object]:
    return lambda: [left @ right for left, right in pairs]


def create(*, threads: int = 1, dtype: str = "fp32") -> Numpy:
    """Return the backend, for one type of numbers."""
    check_options("numpy_backend", threads=threads, dtype=dtype, dtypes=("fp32",))
    return Numpy(threads)
