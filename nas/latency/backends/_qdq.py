"""Turn a float ONNX graph into an int8 one by writing Q/DQ nodes with constant scales onto it.

Latency depends on shapes and types, not on the values of the scales, so every activation has one of
a few fixed ranges, wide enough for the random weights of `nas.network.weights`. onnxruntime's
`quantize_static` gives the same operators and latency, but takes ten times as long.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_RANGES: Mapping[str, tuple[float, int]] = {
    "Relu": (8 / 255, 0),
    "Clip": (6 / 255, 0),
    "Sigmoid": (1 / 255, 0),
    "HardSigmoid": (1 / 255, 0),
}
"""Scale and zero point of what an operator gives, in unsigned bytes."""
_WIDE = (16 / 255, 128)

_WEIGHTED = ("Conv", "Gemm")
_CLIPPING = ("Relu", "Clip")
_SAME_SCALE = ("Flatten", "Unsqueeze", "Concat", "Resize", "MaxPool", "Slice", "Gather")


class _Rewriter:
    """Collects the nodes and constants of the int8 graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.floats = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.outputs = {output.name for output in graph.output}
        self.ranges: dict[str, tuple[float, int]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name

    def add(self, op: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def weight(self, node: onnx.NodeProto) -> None:
        """Write the weight of `node` in signed bytes, a scale per output channel, and the bias."""
        x, weight, bias = node.input
        value = self.floats[weight]
        scale = np.abs(value).reshape(len(value), -1).max(axis=1) / 127
        scale = np.maximum(scale, 1e-9).astype(np.float32)
        steps = np.rint(value / scale.reshape(-1, *[1] * (value.ndim - 1))).astype(np.int8)
        self.dequantized(weight, steps, scale)
        scale = (scale * self.ranges[x][0]).astype(np.float32)
        self.dequantized(bias, np.rint(self.floats[bias] / scale).astype(np.int32), scale)

    def dequantized(self, name: str, steps: NDArray[Any], scale: NDArray[np.float32]) -> None:
        inputs = (
            self.constant(f"{name}.steps", steps),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero", np.zeros(len(scale), steps.dtype)),
        )
        self.add("DequantizeLinear", inputs, f"{name}.dq", axis=0)

    def activation(self, x: str, made: str, values: tuple[float, int]) -> None:
        """Quantise `made`, the float value called `x` in the float graph, and back."""
        self.ranges[x] = values
        grid = (
            self.constant(f"{x}.scale", np.array(values[0], np.float32)),
            self.constant(f"{x}.zero", np.array(values[1], np.uint8)),
        )
        steps = self.add("QuantizeLinear", (made, *grid), f"{x}.q")
        last = x in self.outputs
        self.add("DequantizeLinear", (steps, *grid), x if last else f"{x}.dq")

    def node(self, node: onnx.NodeProto, clipped: Mapping[str, str]) -> None:
        if node.op_type in _WEIGHTED:
            self.weight(node)
        inputs = [self.input(name, node.op_type) for name in node.input]
        output = node.output[0]
        made = self.add(node.op_type, inputs, f"{output}.float")
        self.nodes[-1].attribute.extend(node.attribute)
        if clipped.get(output) in _CLIPPING and node.op_type in _WEIGHTED:
            return  # a clip is part of the quantisation after it
        same = node.op_type in _SAME_SCALE
        values = self.ranges[node.input[0]] if same else _RANGES.get(node.op_type, _WIDE)
        self.activation(output, made, values)

    def input(self, name: str, op: str) -> str:
        if not name:  # an input that is left out
            return name
        if name in self.ranges or (name in self.floats and op in _WEIGHTED):
            return f"{name}.dq"
        if name in self.floats:
            return self.constant(name, self.floats[name])
        return f"{name}.float"


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, a graph of `nas.exporting.onnx`, with a byte for every value in between.

    Activations are unsigned and weights signed bytes, these with a scale per output channel; a
    bias has 32 bits. Input and output stay float: the first node quantises, the last one undoes
    it, and both are part of what is measured.
    """
    graph = model.graph
    rewriter = _Rewriter(graph)
    for given in graph.input:
        rewriter.activation(given.name, given.name, _WIDE)
    clipped = {node.input[0]: node.op_type for node in graph.node}
    for node in graph.node:
        rewriter.node(node, clipped)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensors = [numpy_helper.from_array(value, name) for name, value in rewriter.constants.items()]
    for field, values in (("node", rewriter.nodes), ("initializer", tensors)):
        result.graph.ClearField(field)
        getattr(result.graph, field).extend(values)
    return result
