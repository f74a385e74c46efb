"""Write the int8 form of a float ONNX graph: QuantizeLinear and DequantizeLinear around operators.

onnxruntime fuses them into operators on bytes. Weights are signed bytes with a scale for each
output channel, biases have 32 bits, activations are unsigned bytes, which x86 multiplies fastest.

Hard-swish and hard-sigmoid have no operators on bytes there. But the bytes of x, cut off at -3 and
3 and read with another scale and zero, are those of the hard sigmoid, and hard-swish is the product
of both. So the range of x must reach from -3 to 3, with a byte for each.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from nas.exporting.int8.correction import Means, bias_shift
from nas.exporting.int8.ranges import CUT, QuantizationGrid, for_hard

WEIGHTED = ("Conv", "Gemm")
CLIPPING = ("Relu", "Clip")
HARD = ("HardSwish", "HardSigmoid")
SAME_GRID = ("Flatten", "Unsqueeze", "Resize", "MaxPool", "Slice", "Gather", "Transpose", "Reshape")
"""Operators that move bytes, whose result has the grid of what they read."""
_SAME_MEANS = ("Flatten", "Unsqueeze")
"""Of these, those that keep the mean of each channel."""
_ASSUMED: Mapping[str, QuantizationGrid] = {
    "Relu": QuantizationGrid(scale=8 / 255, zero_point=0),
    "Clip": QuantizationGrid(scale=6 / 255, zero_point=0),
    "Sigmoid": QuantizationGrid(scale=1 / 255, zero_point=0),
}
"""What operators give in `assumed_grids`; the others are `_WIDE`."""
_WIDE = QuantizationGrid(scale=16 / 255, zero_point=128)


def values_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the float values of `model` that are to be written as bytes.

    They are what operators give, without what an activation cuts off next, and what only moves.
    Inputs come first.
    """
    graph = model.graph
    clipped = {n.input[0] for n in graph.node if n.op_type in CLIPPING}
    made = (
        node.output[0]
        for node in graph.node
        if node.op_type not in (*SAME_GRID, "HardSigmoid")
        and not (node.op_type in WEIGHTED and node.output[0] in clipped)
    )
    return (*(given.name for given in graph.input), *made)


def assumed_grids(model: onnx.ModelProto) -> dict[str, QuantizationGrid]:
    """Return a grid for each value of `model` as random weights may give it.

    Latency depends on no range, so no image is needed.
    """
    made = {node.output[0]: node.op_type for node in model.graph.node}
    return {name: _ASSUMED.get(made.get(name, ""), _WIDE) for name in values_of(model)}


def written(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the values that `to_qdq` writes as bytes, given the grids of all `values_of`."""
    needed = _needed(model.graph, ())
    return tuple(name for name in values_of(model) if name in needed)


def hard_inputs(model: onnx.ModelProto) -> frozenset[str]:
    """Return the values that a hard-swish or a hard-sigmoid reads."""
    return frozenset(n.input[0] for n in model.graph.node if n.op_type in HARD)


class _Writer:
    """Collects the nodes and constants of the int8 graph."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        grids: Mapping[str, QuantizationGrid],
        floats: Collection[str],
        needed: Collection[str],
        means: Means,
    ) -> None:
        self.floats = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.grids, self.kept, self.means = dict(grids), frozenset(floats), dict(means)
        self.needed = needed
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.ends = {output.name for output in graph.output}
        self.bytes: dict[str, str] = {}
        self.again: set[str] = set()

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name

    def add(self, op: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def grid(self, name: str, grid: QuantizationGrid) -> tuple[str, str]:
        scale, zero_point = np.array(grid.scale, np.float32), np.array(grid.zero_point, np.uint8)
        return self.constant(f"{name}.scale", scale), self.constant(f"{name}.zero", zero_point)

    def quantized(self, value: str, made: str) -> None:
        """Write `made`, the float value called `value`, as bytes."""
        grid = self.grid(value, self.grids[value])
        self.kept_bytes(value, self.add("QuantizeLinear", (made, *grid), f"{value}.q"))

    def kept_bytes(self, value: str, steps: str) -> None:
        """Remember that `steps` are the bytes of `value`; at an end of the graph, undo them."""
        self.bytes[value] = steps
        if value in self.ends:
            self.add("DequantizeLinear", (steps, *self.grid(value, self.grids[value])), value)

    def read(self, name: str) -> str:
        """Return what stands for the value `name` of the float graph."""
        if name in self.bytes and name not in self.ends:
            return self.floats_again(name)
        if name in self.floats:
            return self.constant(name, self.floats[name])
        return name

    def floats_again(self, value: str) -> str:
        """Write the bytes of `value` as floats where that is not done yet; return their name."""
        name = f"{value}.dq"
        if name not in self.again:
            self.again.add(name)
            grid = self.grid(value, self.grids[value])
            self.add("DequantizeLinear", (self.bytes[value], *grid), name)
        return name

    def node(self, node: onnx.NodeProto) -> None:
        source, output = node.input[0], node.output[0]
        if node.op_type in HARD and source in self.bytes and output in self.needed:
            self.hard(node)
            return
        if node.op_type in WEIGHTED and source in self.bytes and output not in self.kept:
            inputs = [self.read(source), *self.weights(node)]
        else:
            inputs = [self.read(name) if name else "" for name in node.input]
        if node.op_type in SAME_GRID and source in self.bytes:
            self.grids[output] = self.grids[source]
        if node.op_type in _SAME_MEANS and source in self.means:
            self.means[output] = self.means[source]
        made = f"{output}.float" if output in self.grids else output
        self.nodes.append(helper.make_node(node.op_type, inputs, [made, *node.output[1:]], made))
        self.nodes[-1].attribute.extend(node.attribute)
        if output in self.grids:
            self.quantized(output, made)

    def hard(self, node: onnx.NodeProto) -> None:
        """Write a hard-swish or a hard-sigmoid on bytes."""
        source, output = node.input[0], node.output[0]
        grid = self.grids[source]
        parts = round(CUT / grid.scale)
        ends = [grid.zero_point - parts, grid.zero_point + parts]
        least, most = (
            self.constant(f"{output}.{name}", np.array(end, np.uint8))
            for name, end in zip(("least", "most"), ends, strict=True)
        )
        cut = self.add("Clip", (self.bytes[source], least, most), f"{output}.cut")
        gates = QuantizationGrid(scale=grid.scale / (2 * CUT), zero_point=ends[0])
        if node.op_type == "HardSigmoid":
            self.grids[output] = gates
            self.kept_bytes(output, cut)
            return
        gate = self.grid(f"{output}.gate", gates)
        opened = self.add("DequantizeLinear", (cut, *gate), f"{output}.gate.dq")
        made = self.add("Mul", (self.read(source), opened), f"{output}.float")
        self.quantized(output, made)

    def weights(self, node: onnx.NodeProto) -> list[str]:
        """Write weight and bias as whole numbers; return the names of their floats."""
        source, weight, bias = node.input
        value = np.asarray(self.floats[weight], np.float64)
        shape = (-1, *[1] * (value.ndim - 1))
        scale = np.abs(value).reshape(len(value), -1).max(axis=1) / 127
        scale = np.maximum(scale, 1e-9).astype(np.float32)
        steps = np.rint(value / scale.reshape(shape)).clip(-127, 127)
        error = value - steps * scale.reshape(shape)
        shift = bias_shift(error, self.means.get(source))
        wide = (scale * np.float32(self.grids[source].scale)).astype(np.float32)
        whole = np.rint((self.floats[bias] + shift) / wide).clip(-(2**31), 2**31 - 1)
        return [
            self.whole(weight, steps.astype(np.int8), scale),
            self.whole(bias, whole.astype(np.int32), wide),
        ]

    def whole(self, name: str, steps: NDArray[Any], scale: NDArray[np.float32]) -> str:
        inputs = (
            self.constant(f"{name}.steps", steps),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero", np.zeros(len(scale), steps.dtype)),
        )
        return self.add("DequantizeLinear", inputs, f"{name}.dq", axis=0)


def _needed(graph: onnx.GraphProto, floats: Collection[str]) -> set[str]:
    """Return the values that are to be bytes where the layers `floats` are not.

    They are what the other layers read and give, and what operators without weights read to give
    those; all values where no layer stays in float.
    """
    nodes = list(graph.node)
    if not floats:
        return {given.name for given in graph.input} | {n.output[0] for n in nodes}
    clips = {n.input[0]: n.output[0] for n in nodes if n.op_type in CLIPPING}
    layers = [n for n in nodes if n.op_type in WEIGHTED and n.output[0] not in floats]
    needed = {n.input[0] for n in layers}
    needed |= {clips.get(n.output[0], n.output[0]) for n in layers}
    for node in reversed(nodes):
        if node.op_type not in WEIGHTED and needed & set(node.output):
            needed |= set(node.input)
    return needed


def to_qdq(
    model: onnx.ModelProto,
    grids: Mapping[str, QuantizationGrid],
    *,
    floats: Collection[str] = (),
    means: Means | None = None,
) -> onnx.ModelProto:
    """Return `model`, a graph of `nas.exporting.onnx`, with bytes for the values in `grids`.

    Input and output stay float. The layers whose outputs are in `floats` stay in float, and so do
    values that no other layer needs as bytes.
    With `means` of the values biases are corrected for what rounding does to the weights.
    """
    hard, needed = hard_inputs(model), _needed(model.graph, floats)
    fitting = {
        name: for_hard(grid) if name in hard else grid
        for name, grid in grids.items()
        if name in needed
    }
    writer = _Writer(model.graph, fitting, floats, needed, means or {})
    for given in model.graph.input:
        if given.name in fitting:
            writer.quantized(given.name, given.name)
    for node in model.graph.node:
        writer.node(node)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensors = [numpy_helper.from_array(value, name) for name, value in writer.constants.items()]
    for field, values in (("node", writer.nodes), ("initializer", tensors)):
        result.graph.ClearField(field)
        getattr(result.graph, field).extend(values)
    return result
