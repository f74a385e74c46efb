"""The three sources of accuracies: published networks, shortened trainings and a predictor."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.shared.rows import Rows, read_rows
from nas.accuracy.features import Floats, features
from nas.accuracy.picks import PicksFeatures
from nas.network.blocks import Architecture, Block

PUBLISHED, TRAININGS, PREDICTIONS = 0, 1, 2
"""Schemes, each with a scale of its own."""

REFERENCE = "google"
"""The recipe that predictions are for: MnasNet's, MobileNetV3's and EfficientNet's."""

DISTILLED = ("ofa", "attentivenas", "alphanet")
"""Recipes that train networks as parts of a supernet, with distillation."""

NONE = -1
"""Stands for a recipe or family that a row does not have, or that is unknown."""


@dataclass(frozen=True, slots=True)
class Published:
    """Networks as published, with their top-1 in per cent.

    `recipes` and `families` are numbers of the names; the reference recipe is 0.
    """

    archs: tuple[Architecture, ...]
    family_names: tuple[str, ...]
    features: Floats
    top1: Floats
    recipes: NDArray[np.intp]
    families: NDArray[np.intp]
    distilled: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.top1)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of several schemes: features, top-1 in per cent, and further facts of each."""

    features: Floats
    top1: Floats
    schemes: NDArray[np.intp]
    recipes: NDArray[np.intp]
    families: NDArray[np.intp]
    distilled: NDArray[np.bool_]

    def take(self, chosen: NDArray[Any]) -> "Table":
        """Return some of the rows, by position or by a mask."""
        return Table(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.top1)


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, concatenated."""
    columns = zip(*([getattr(t, n) for n in Table.__slots__] for t in tables), strict=True)
    return Table(*(np.concatenate(parts) for parts in columns))


def read_published(path: Path) -> Published:
    """Return the networks of `networks.json` that are to be fitted."""
    records = [r for r in json.loads(path.read_text(encoding="utf-8")) if r["use"]]
    archs = tuple(map(architecture, records))
    recipes, families = ([r[key] for r in records] for key in ("recipe", "family"))
    others = sorted(set(recipes) - {REFERENCE})
    names = sorted(set(families))
    return Published(
        archs=archs,
        family_names=tuple(names),
        features=features(archs),
        top1=np.array([float(r["top1"]) for r in records]),
        recipes=np.array([([REFERENCE, *others]).index(r) for r in recipes]),
        families=np.array([names.index(f) for f in families]),
        distilled=np.array([r in DISTILLED for r in recipes]),
    )


def at_reference(features: Floats) -> Table:
    """Return networks of unknown families and accuracies, trained by the reference recipe."""
    count = len(features)
    schemes = np.full(count, PUBLISHED)
    none = np.full(count, NONE)
    zeros = np.zeros(count)
    return Table(features, zeros, schemes, np.zeros(count, int), none, np.zeros(count, bool))


def published_table(published: Published) -> Table:
    """Return published networks as rows."""
    schemes = np.full(len(published), PUBLISHED)
    return Table(
        published.features,
        published.top1,
        schemes,
        published.recipes,
        published.families,
        published.distilled,
    )


def large_table(folder: Path, space: str, scheme: int) -> tuple[Table, Rows]:
    """Return the rows of one of the two large sets, and their picks."""
    rows = read_rows(folder, space)
    none = np.full(len(rows.top1), NONE)
    found = PicksFeatures(rows.space)(rows.matrix)
    schemes, plain = np.full(len(none), scheme), np.zeros(len(none), dtype=bool)
    return Table(found, 100 * rows.top1, schemes, none, none, plain), rows


def architecture(record: Mapping[str, Any]) -> Architecture:
    """Return the architecture of one record of `networks.json`."""
    width, act = record["stem"]
    stem = Block(kind="conv", in_channels=3, out_channels=width, kernel=3, stride=2, act=act)
    return Architecture(
        name=record["name"],
        resolution=record["resolution"],
        stem=(stem,),
        stages=(tuple(map(_block, record["blocks"])),),
        head=tuple(map(_head_block, record["head"])),
    )


def _block(record: Mapping[str, Any]) -> Block:
    separable = record["pact"] is not None
    return Block(
        kind="separable" if separable else "mbconv",
        in_channels=record["cin"],
        out_channels=record["cout"],
        hidden_channels=0 if separable else record["mid"],
        kernel=record["k"],
        stride=record["s"],
        se_channels=int(record["se"]),
        act=record["act"],
        skip="identity" if record["skip"] else "none",
    )


def _head_block(record: Sequence[Any]) -> Block:
    match record:
        case ["pool", width]:
            return Block(kind="pool", in_channels=width, out_channels=width)
        case [kind, before, after, act]:
            return Block(
                kind="conv" if kind == "conv1x1" else "linear",
                in_channels=before,
                out_channels=after,
                act=act or "none",
            )
    raise ValueError(f"no block of a head: {record}")
