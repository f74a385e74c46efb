"""The largest kernel of networks, which means over their layers may hide."""

import numpy as np

from nas.accuracy.features import Floats
from nas.network.blocks import Architecture
from nas.space.space import Matrix, Space


def largest_kernel(arch: Architecture) -> float:
    """Return the side of the largest kernel in the stages of a network, 0 without stages."""
    return float(max((block.kernel for stage in arch.stages for block in stage), default=0))


def largest_kernels(space: Space, matrix: Matrix) -> Floats:
    """Return `largest_kernel` of every row of picks."""
    found, active = np.zeros(len(matrix)), space.active(matrix)
    depths = {column.stage: i for i, column in enumerate(space.columns) if column.field == "layers"}
    for number, row in enumerate(space.stages):
        if len(row.options["kernel"]) == 1:
            there = np.ones(len(matrix), dtype=bool)
            if number in depths:
                layers = np.array(space.columns[depths[number]].values)
                there = layers[matrix[:, depths[number]]] > 0
            found = np.where(there, np.maximum(found, float(row.options["kernel"][0])), found)
    for place, column in enumerate(space.columns):
        if column.field == "kernel" and column.stage is not None:
            kernels = np.array(column.values, dtype=float)[matrix[:, place]]
            found = np.where(active[:, place], np.maximum(found, kernels), found)
    return found
