"""Shared by tests of exports to other libraries: modules, searched networks, comparisons."""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.multipliers import scale_resolution
from nas.network.weights import random_weights
from nas.space.file import load_space

MODULES = Path(__file__).parents[1] / "data" / "naming"
SIDE = 64


def tensors_of(library: str) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    """Return the shapes of all tensors of real models of a library, by our name of the network."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in (MODULES / f"{library}.txt").read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("["):
            network = found.setdefault(line[1 : line.index("]")], {})
            continue
        module, *words = line.split()
        names = dict(zip(words[::2], words[1::2], strict=True))
        if "norm" in names:
            parts = ("weight", "bias", "running_mean", "running_var")
            names = dict.fromkeys(parts, names["norm"])
        network |= {f"{module}.{n}": tuple(map(int, s.split("x"))) for n, s in names.items()}
    return found


def found_networks(space: str, number: int) -> list[Architecture]:
    """Return random networks of a bundled space."""
    loaded = load_space(space)
    return [
        loaded.decode_row(row) for row in loaded.sample_matrix(np.random.default_rng(3), number)
    ]


def difference(arch: Architecture, folder: Path, write: Any) -> float:
    """Return the difference of outputs here and in a library, as a fraction of the largest.

    `write` writes the folder of `arch` with weights; its program is run.
    """
    import torch

    from nas.models.build import build_model

    small = scale_resolution(arch, SIDE)
    weights = random_weights(lower(small))
    write(small, folder, weights)
    model = build_model(small)
    model.load_state_dict({n: torch.from_numpy(w) for n, w in weights.items()}, strict=False)
    theirs = runpy.run_path(str(folder / "model.py"))["model"]
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, SIDE, SIDE), "f"))
    with torch.no_grad():
        ours, other = model.eval()(images), theirs(images)
    return float((ours - other).abs().max() / ours.abs().max())
