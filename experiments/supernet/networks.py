"""The networks of NAS-Bench-Macro as points of a space.

Eight digits name a network: for each layer 0 for none (a 1x1 convolution where the shape changes),
1 for an MBConv block with kernel 3 and expansion 3, 2 for one with kernel 5 and expansion 6.
"""

from pathlib import Path

import numpy as np

from nas.space.file import load_space
from nas.space.rows import Picks, Value
from nas.space.space import Matrix, Space

HERE = Path(__file__).resolve().parent
WHOLE, HALF = HERE / "macro.yaml", HERE / "half.yaml"
STRIDED = (0, 2, 5)
"""The layers that change the shape of their input."""
_BLOCKS = {"1": (3, 3), "2": (5, 6)}
"""Kernel and expansion by digit."""


def picks_of(name: str) -> Picks:
    """Return the picks of the network called `name`, as in "02012100"."""
    picks: dict[str, Value] = {}
    for layer, digit in enumerate(name):
        stage = f"stage{layer + 1}"
        if digit == "0":
            picks |= _without(stage) if layer in STRIDED else {f"{stage}_layers": 0}
            continue
        kernel, expansion = _BLOCKS[digit]
        picks |= {f"{stage}_kernel": kernel, f"{stage}_expansion": expansion}
        if layer in STRIDED:
            picks |= {f"{stage}_kind": "mbconv", f"{stage}_act": "relu"}
        else:
            picks[f"{stage}_layers"] = 1
    return picks


def _without(stage: str) -> Picks:
    return {f"{stage}_kind": "conv", f"{stage}_kernel": 1, f"{stage}_act": "none"}


def rows_of(space: Space, names: list[str]) -> Matrix:
    """Return the rows of networks by their names, shape (names, columns)."""
    return np.stack([space.pack(picks_of(name)) for name in names])


def load(path: Path = WHOLE) -> Space:
    """Return the space of the published networks, or that of narrower ones."""
    return load_space(path)
