"""Run the modules of a graph of units, and join the outputs of a detector's levels."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.network.detector import Detector
from nas.network.layers import Unit
from nas.network.lowering import ends, inputs_of, sources

Edges = tuple[tuple[str, tuple[str, ...]], ...]
"""The name of every unit, and the names of its inputs."""


def edges(units: Sequence[Unit]) -> Edges:
    """Return the edges of the graph of `units`."""
    return tuple((unit.name, names) for unit, names in sources(units))


def run_graph(
    edges: Edges,
    modules: Sequence[nn.Module],
    given: Mapping[str, Tensor],
    outputs: Sequence[str],
) -> dict[str, Tensor]:
    """Run the modules of units in order on the inputs `given`; return those named in `outputs`."""
    last = {name: i for i, (_, names) in enumerate(edges) for name in names}
    last |= dict.fromkeys(outputs, len(edges))
    values = dict(given)
    for i, ((name, names), module) in enumerate(zip(edges, modules, strict=True)):
        values[name] = module(*(values[source] for source in names))
        values = {name: value for name, value in values.items() if last[name] > i}
    return values


class Graph(nn.Module):
    """The modules of units that form a graph."""

    def __init__(self, units: Sequence[Unit], modules: Sequence[nn.Module]) -> None:
        """Store the modules of `units`."""
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self._inputs = tuple(inputs_of(units))
        self._edges, self._outputs = edges(units), tuple(unit.name for unit in ends(units))

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of those units that no other unit reads."""
        given = dict(zip(self._inputs, images, strict=True))
        return tuple(run_graph(self._edges, tuple(self.parts), given, self._outputs).values())


def joined_outputs(detector: Detector, maps: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return box numbers and scores of all levels, (batch, predictions, numbers or scores)."""
    levels = detector.levels
    boxes = [predictions_of(maps[level.boxes], detector.numbers) for level in levels]
    scores = [predictions_of(maps[level.classes], detector.scores) for level in levels]
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def predictions_of(maps: Tensor, numbers: int) -> Tensor:
    """Return maps (batch, anchors * numbers, height, width) as (batch, predictions, numbers)."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, numbers)
