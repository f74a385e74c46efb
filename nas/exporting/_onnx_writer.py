"""Collect the operators and constants of an ONNX graph; nothing here needs onnx."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.network.layers import Add, Concat, Conv, Linear, MaxPool, Shuffle, Split, Upsample
from nas.network.weights import Weights, fold_norm

SIMPLE_ACTS = {"relu": "Relu", "hswish": "HardSwish", "sigmoid": "Sigmoid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator of a graph."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class OnnxWriter:
    """Collects the nodes and constants of a graph; its methods return the name of a value."""

    def __init__(self, weights: Weights) -> None:
        """Begin with nothing; `weights` are those of the layers to be written."""
        self.weights = weights
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.vectors: set[str] = set()

    def add(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> str:
        """Write an operator; return its output."""
        self.several(op, inputs, (output,), **attributes)
        return output

    def several(
        self, op: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **attributes: Any
    ) -> None:
        """Write an operator of several outputs."""
        self.nodes.append(Node(op=op, inputs=inputs, outputs=outputs, attributes=attributes))

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        """Keep a constant; return its name."""
        self.constants[name] = np.asarray(value, dtype)
        return name

    def flat(self, x: str, output: str) -> str:
        """Return `x` as (batch, channels)."""
        if x in self.vectors:
            return x
        self.vectors.add(output)
        return self.add("Flatten", (x,), output)

    def maps(self, x: str, output: str) -> str:
        """Return `x` as (batch, channels, height, width)."""
        if x not in self.vectors:
            return x
        axes = self.constant("spatial_axes", (2, 3), np.int64)
        return self.add("Unsqueeze", (x, axes), output)

    def conv(self, x: str, name: str, layer: Conv) -> str:
        same = layer.padding == "same" and layer.stride > 1
        pads = {"auto_pad": "SAME_UPPER"} if same else {"pads": [layer.pad] * 4}
        inputs = (x, *self.weight_and_bias(name, layer))
        value = self.add("Conv", inputs, name, group=layer.groups, strides=[layer.stride] * 2,
                         kernel_shape=[layer.kernel] * 2, **pads)  # fmt: skip
        return self.act(layer.act, value)

    def linear(self, x: str, name: str, layer: Linear) -> str:
        value = self.add("Gemm", (x, *self.weight_and_bias(name, layer)), name, transB=1)
        value = self.act(layer.act, value)
        self.vectors.add(value)
        return value

    def weight_and_bias(self, name: str, layer: Conv | Linear) -> tuple[str, str]:
        weight, bias = fold_norm(self.weights, name, layer)
        return self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)

    def mean(self, x: str, name: str) -> str:
        return self.add("GlobalAveragePool", (x,), name)

    def average(self, x: str, name: str, stride: int) -> str:
        return self.add("AveragePool", (x,), name, count_include_pad=0, kernel_shape=[3, 3],
                        strides=[stride] * 2, pads=[1] * 4)  # fmt: skip

    def plus(self, x: str, y: str, name: str) -> str:
        return self.add("Add", (x, y), name)

    def times(self, x: str, gate: str, name: str) -> str:
        return self.add("Mul", (x, gate), name)

    def concat(self, maps: Sequence[str], name: str, layer: Concat) -> str:
        return self.add("Concat", tuple(maps), name, axis=1)

    def total(self, maps: Sequence[str], name: str, layer: Add) -> str:
        value = maps[0]
        for number, more in enumerate(maps[1:], 1):
            value = self.add("Add", (value, more), name if number == 1 else f"{name}.{number}")
        return self.act(layer.act, value)

    def upsample(self, x: str, name: str, layer: Upsample) -> str:
        scales = self.constant(f"{name}.scales", (1, 1, layer.factor, layer.factor))
        return self.add("Resize", (x, "", scales), name, mode="nearest", nearest_mode="floor",
                        coordinate_transformation_mode="asymmetric")  # fmt: skip

    def maxpool(self, x: str, name: str, layer: MaxPool) -> str:
        return self.add("MaxPool", (x,), name, kernel_shape=[layer.kernel] * 2,
                        strides=[layer.stride] * 2, pads=[(layer.kernel - 1) // 2] * 4)  # fmt: skip

    def split(self, x: str, name: str, layer: Split) -> str:
        first, last = layer.first, layer.first + layer.out_shape[0]
        ends = [self.constant(f"{name}.{what}", [value], np.int64)
                for what, value in (("first", first), ("last", last), ("axis", 1))]  # fmt: skip
        return self.add("Slice", (x, *ends), name)

    def shuffle(self, x: str, name: str, layer: Shuffle) -> str:
        order = np.arange(layer.shape[0]).reshape(2, -1).T.reshape(-1)
        return self.add(
            "Gather", (x, self.constant(f"{name}.order", order, np.int64)), name, axis=1
        )

    def predictions(self, x: str, name: str, numbers: int) -> str:
        pixels = self.add("Transpose", (x,), f"{name}.pixels", perm=[0, 2, 3, 1])
        shape = self.constant(f"shape.{numbers}", (0, -1, numbers), np.int64)
        return self.add("Reshape", (pixels, shape), name)

    def stack(self, values: Sequence[str], name: str) -> str:
        return self.add("Concat", tuple(values), name, axis=1)

    def act(self, act: str, x: str) -> str:
        output = f"{x}.{act}"
        match act:
            case "none":
                return x
            case "relu6":
                bounds = self.constant("zero", 0), self.constant("six", 6)
                return self.add("Clip", (x, *bounds), output)
            case "swish":
                return self.add("Mul", (x, self.act("sigmoid", x)), output)
            case "hsigmoid":
                return self.add("HardSigmoid", (x,), output, alpha=1 / 6, beta=0.5)
        return self.add(SIMPLE_ACTS[act], (x,), output)
