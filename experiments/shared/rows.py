"""Rows of published accuracies: their features, folds, and the errors of a fit."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.accuracy.predictor import Accuracy, Floats, Scale
from nas.network.cost import cost_of
from nas.network.layers import Unit
from nas.space.file import load_space
from nas.space.lookup import Lookup, UnitValues
from nas.space.rows import Column
from nas.space.space import Matrix, Space

Features = Callable[[Matrix], Floats]

SCALES = {
    "mnasnet_b0": Scale(),
    "mobilenetv3": Scale(intercept=0.1297, slope=0.773, deviation=0.0027),
}
"""From the scale of the data to the published one. That of `mobilenetv3` was fitted to 17
published networks of its space (Cai et al., 2020), which it misses by 0.27 points."""

_TARGETS = {"mnasnet_b0": "val_top1", "mobilenetv3": "predicted_top1"}
_SHORT = {"expansion": "e", "kernel": "k", "layers": "l", "se": "se"}


class Rows(NamedTuple):
    """Architectures of one space, canonical, and their accuracies as fractions."""

    space: Space
    matrix: Matrix
    top1: Floats

    def take(self, chosen: NDArray[np.intp]) -> "Rows":
        """Return the rows at the positions `chosen`."""
        return Rows(self.space, self.matrix[chosen], self.top1[chosen])


def read_rows(folder: Path, space_name: str) -> Rows:
    """Return the rows of `train.csv` in `folder`, on the scale of the data."""
    space = load_space(space_name)
    with (folder / "train.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    columns = []
    for column in space.columns:
        key = _key(space_name, column)
        index = {str(int(value)): i for i, value in enumerate(column.values)}
        columns.append([index[record[key]] if record[key] else 0 for record in records])
    matrix = np.array(columns, dtype=np.uint8).T
    target = [float(record[_TARGETS[space_name]]) / 100 for record in records]
    return Rows(space, space.canonical(matrix), np.array(target))


def _key(space_name: str, column: Column) -> str:
    """Return the name of a choice in the data."""
    block = f"block{column.stage}_{_SHORT.get(column.field)}"
    return block if _TARGETS[space_name] == "val_top1" else column.name


def folds(rows: Rows, count: int, seed: int) -> list[NDArray[np.intp]]:
    """Return `count` disjoint sets of positions, with equal architectures in the same one."""
    _, which = np.unique(rows.matrix, axis=0, return_inverse=True)
    turn = np.random.default_rng(seed).permutation(which.max() + 1)[which.ravel()]
    return [np.flatnonzero(turn % count == fold) for fold in range(count)]


def figures(predicted: Accuracy, top1: Floats) -> dict[str, float]:
    """Return Kendall's tau-b, R2, the mean absolute error and the coverage of the deviations."""
    from scipy.stats import kendalltau

    error = np.abs(predicted.accuracy - top1)
    return {
        "tau": float(kendalltau(predicted.accuracy, top1).statistic),
        "r2": float(1 - np.mean(error**2) / np.var(top1)),
        "mae": float(error.mean()),
        "within_one": float(np.mean(error < predicted.deviation)),
        "within_two": float(np.mean(error < 2 * predicted.deviation)),
    }


def rich_features(space: Space) -> Features:
    """Return the function from picks to features, shape (rows, features).

    Features are the values of the choices, the logarithms of MACs, params and activations of every
    stage and of the network and, where choices apply to whole stages, their products and sums of
    those.
    """
    costs = Lookup(space, _stage_costs(space))
    stages = len(space.stages)

    def features(matrix: Matrix) -> Floats:
        table = costs(matrix).reshape(len(matrix), 3, stages + 1)
        parts = [_values(space, matrix)]
        parts.append(np.log(table[:, :, :stages]).reshape(len(matrix), -1))
        parts.append(np.log(table.sum(axis=2)))
        if not any(row.per_layer for row in space.stages):
            parts.append(_products(space, matrix))
        return np.concatenate(parts, axis=1)

    return features


def _stage_costs(space: Space) -> UnitValues:
    """Return a function that sums costs by stage, recognised by its width, with the rest last."""
    widths = [int(row.options["width"][0]) for row in space.stages]

    def values(units: Unit) -> Floats:
        total, width = cost_of(units), units.block.out_channels
        inside = units.block.kind == "mbconv"
        here = [np.equal(width, own) & inside for own in widths]
        here.append(~np.any(here, axis=0))
        values = (total.macs, total.params, total.activations)
        return np.concatenate([np.multiply(here, value) for value in values])

    return values


def _values(space: Space, matrix: Matrix) -> Floats:
    """Return the values of the choices, and whether an expansion is the middle one of three."""
    columns = []
    for i, column in enumerate(space.columns):
        columns.append(np.array([float(value) for value in column.values])[matrix[:, i]])
        if column.field == "expansion":
            columns.append((matrix[:, i] == 1).astype(float))
    return np.stack(columns, axis=1)


def _products(space: Space, matrix: Matrix) -> Floats:
    values = {
        column.name: np.array([float(value) for value in column.values])[matrix[:, i]]
        for i, column in enumerate(space.columns)
    }
    count = len(space.stages)
    expansion, kernel, layers, se = (
        np.stack([values[f"stage{s + 1}_{field}"] for s in range(count)], axis=1)
        for field in ("expansion", "kernel", "layers", "se")
    )
    products = [expansion * layers, kernel * layers, se * layers]
    sums = [part.sum(axis=1, keepdims=True) for part in (layers, se, *products)]
    return np.concatenate([*products, *sums], axis=1)
