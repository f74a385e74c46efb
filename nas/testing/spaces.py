"""The spaces that contract suites search: one that can be tried out, and a large one."""

from functools import cache

import numpy as np

from nas.space.file import load_space, space_from_mapping
from nas.space.space import Matrix, Space

_RELU = {"act": "relu"}
_TINY = {
    "schema": 1,
    "name": "tiny",
    "resolution": 32,
    "se": {"ratio": 0.5, "of": "input", "divisor": 1},
    "stem": [{"kind": "conv", "width": 8, "kernel": 3, "stride": 2, **_RELU}],
    "defaults": {**_RELU, "layers": [1, 2]},
    "stages": [
        {"kind": "mbconv", "width": [8, 12], "expansion": [1, 2], "kernel": [3, 5]},
        {
            "kind": ["conv", "mbconv"], "width": 16, "stride": 2, "expansion": [2, 3],
            "kernel": [3, 5], "se": [False, True], "per_layer": ["kernel"],
        },
    ],
    "head": [
        {"kind": "conv", "width": 24, **_RELU},
        {"kind": "pool"},
        {"kind": "linear", "width": 10, "act": "none"},
    ],
}  # fmt: skip


@cache
def tiny() -> Space:
    """Return a space of 576 architectures at 32 pixels."""
    return space_from_mapping(_TINY)


@cache
def large() -> Space:
    """Return the bundled space of MobileNetV3."""
    return load_space("mobilenetv3")


def sample(space: Space, count: int, *, seed: int = 0) -> Matrix:
    """Return random rows of a space."""
    return space.sample_matrix(np.random.default_rng(seed), count)
