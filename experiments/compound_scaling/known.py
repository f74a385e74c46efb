"""Predict the gains of depth, resolution, or both, by the accuracy model of `mobilenetv3`.

Widths are fixed in that space, so compound scaling means depth and resolution here.
"""

import re
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np

from nas.accuracy.predictor import load_accuracy_model
from nas.network.cost import cost
from nas.space.file import load_space
from nas.space.rows import Picks
from nas.space.space import Space

NETWORKS, SEED = 200, 0
STAGES = 5
WAYS: Mapping[str, tuple[int, int]] = {
    "base": (2, 160),
    "depth": (4, 160),
    "resolution": (2, 224),
    "both, smaller": (3, 176),
    "both, larger": (3, 192),
}
"""Layers in every stage, and pixels; each takes about twice the MACs of the base. The space has no
point of that cost with both, so there is one below it and one above."""


def by_model() -> dict[str, Any]:
    """Return the gain of every way over its base, for random kernels and expansions.

    A base has two layers a stage at 160 pixels; added layers repeat the last one, as in compound
    scaling. `doubling` is the gain per doubling of the MACs, and `wins` counts the bases for which
    that is largest.
    """
    space, model = load_space("mobilenetv3"), load_accuracy_model("mobilenetv3")
    rng = np.random.default_rng(SEED)
    bases = [space.unpack(row) for row in space.sample_matrix(rng, NETWORKS)]
    tops, macs = {}, {}
    for way, (layers, pixels) in WAYS.items():
        archs = [space.decode(_picks(space, picks, layers, pixels)) for picks in bases]
        tops[way] = model.predict(archs).accuracy
        macs[way] = np.array([cost(arch).macs for arch in archs], dtype=float)
    ways = list(WAYS)[1:]
    gains = {way: tops[way] - tops["base"] for way in ways}
    doubling = {way: gains[way] / np.log2(macs[way] / macs["base"]) for way in ways}
    best = np.argmax([doubling[way] for way in ways], axis=0)
    return {
        "space": "mobilenetv3",
        "networks": NETWORKS,
        "base_top1": round(fmean(tops["base"]), 4),
        "note": model.note,
        "ways": [
            {
                "way": way,
                "layers": WAYS[way][0],
                "resolution": WAYS[way][1],
                "times": round(fmean(macs[way] / macs["base"]), 3),
                "gain": round(fmean(gains[way]), 4),
                "doubling": round(fmean(doubling[way]), 4),
                "least": round(float(doubling[way].min()), 4),
                "most": round(float(doubling[way].max()), 4),
                "wins": int((best == i).sum()),
            }
            for i, way in enumerate(ways)
        ],
    }


def _picks(space: Space, picks: Picks, layers: int, pixels: int) -> Picks:
    """Return `picks` with `layers` layers in every stage, where those after the second repeat it.

    Names are stage1_layer2_kernel and the like.
    """
    changed = dict(picks) | {"resolution": pixels}
    for stage in range(1, STAGES + 1):
        changed[f"stage{stage}_layers"] = layers
        for layer in range(3, layers + 1):
            for choice in ("kernel", "expansion"):
                changed[f"stage{stage}_layer{layer}_{choice}"] = picks[
                    f"stage{stage}_layer2_{choice}"
                ]
    return {name: changed[name] for name in space.choices if _is_there(name, layers)}


def _is_there(name: str, layers: int) -> bool:
    """Return whether a choice belongs to one of the first `layers` layers, or to no layer."""
    found = re.search(r"_layer(\d)_", name)
    return found is None or int(found[1]) <= layers
