"""Collect the tensors and operators of a TensorFlow Lite graph."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.exporting.int8.calibrated import Calibrated
from nas.exporting.int8.correction import bias_shift
from nas.exporting.int8.ranges import SIGN
from nas.exporting.tflite_file import Operator, Shape, Tensor
from nas.exporting.walk import INPUT
from nas.network.layers import Add, Concat, Conv, Linear, MaxPool, Shuffle, Split, Upsample
from nas.network.weights import Weights, fold_norm

_SAME, _VALID = 0, 1
_FUSED = {"none": 0, "relu": 1, "relu6": 3}
"""Activations that an operator applies itself, by their numbers in the format."""

_LAYOUTS: Mapping[str, tuple[tuple[int, ...], int | None]] = {
    "CONV_2D": ((0, 2, 3, 1), 0),
    "DEPTHWISE_CONV_2D": ((1, 2, 3, 0), 3),
    "FULLY_CONNECTED": ((0, 1), None),
}
"""The order of the axes of weights, and the axis along which each entry has a scale in int8."""

_Range = tuple[float, int]
_WIDE: _Range = (16 / 255, 0)
_UNIT: _Range = (1 / 256, -128)
_RANGES: Mapping[str, _Range] = {"relu": (8 / 255, -128), "relu6": (6 / 255, -128)}
"""Scale and zero point of values in int8; they need no calibration to be timed."""
_UNKNOWN = Calibrated(grids={})


class TfliteWriter:
    """Collects tensors and operators; its methods take and return the numbers of tensors."""

    def __init__(
        self,
        weights: Weights,
        *,
        integer: bool = False,
        resized: frozenset[int] = frozenset(),
        calibrated: Calibrated = _UNKNOWN,
    ) -> None:
        """Begin with nothing; `resized` are the axes of maps that may be.

        Values in int8 that are not `calibrated` have fixed ranges.
        """
        self.weights = weights
        found = calibrated.grids.items()
        self.ranges = {name: (grid.scale, grid.zero_point - SIGN) for name, grid in found}
        self.integer, self.bytes = integer, calibrated.io_types
        self.resized, self.means = resized, calibrated.means
        self.called: dict[int, str] = {}
        self.wanted: dict[int, _Range] = {}
        self.inputs: list[int] = []
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []

    def begin(self, shape: Shape, name: str = INPUT) -> int:
        given, (scale, zero) = self.signature(shape), self.ranges.get(name, _WIDE)
        start = Tensor(name=name, shape=shape, signature=given)
        if in_bytes := self.integer and self.bytes.input:
            start = replace(start, dtype="INT8", scale=(scale,), zero=zero)
        value = self.tensor(start)
        self.wanted[value] = (scale, zero)
        self.inputs.append(value)
        if in_bytes or not self.integer:
            return value
        return self.like(value, self.add("QUANTIZE", (value,), f"{name}.q", shape, (scale, zero)))

    def like(self, x: int, y: int) -> int:
        """Remember that the channels of `y` have the means of those of `x`; return `y`."""
        self.called[y] = self.called.get(x, self.tensors[x].name)
        return y

    def end(self, name: str, x: int) -> int:
        """Make `x` an output of the graph called `name`; return its number."""
        x = x if self.bytes.output else self.as_float(x, name)
        last = self.tensors[x]
        self.tensors[x] = replace(last, name=name, signature=self.signature(last.shape))
        return x

    def in_bytes(self, x: int) -> bool:
        """Tell whether `x` is in int8."""
        return self.tensors[x].dtype == "INT8"

    def as_float(self, x: int, name: str) -> int:
        """Return `x` as floats, itself if it is that."""
        if not self.in_bytes(x):
            return x
        result = self.tensor(Tensor(name=name, shape=self.tensors[x].shape))
        self.operators.append(Operator(kind="DEQUANTIZE", inputs=(x,), outputs=(result,)))
        return result

    def signature(self, shape: Shape) -> Shape:
        """Return the shape of an end of the graph with -1 for what may be resized, if any may."""
        axes = self.resized if len(shape) == 4 else self.resized & {0}
        sides = tuple(-1 if axis in axes else side for axis, side in enumerate(shape))
        return sides if axes else ()

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add(
        self, kind: str, inputs: tuple[int, ...], name: str, shape: Shape,
        values: _Range | None = None, **options: Any,
    ) -> int:  # fmt: skip
        """Write an operator; `values` is the range of its result in int8 where it is fixed."""
        scale, zero = values or self.ranges.get(name, _WIDE)
        result = Tensor(name=name, shape=shape)
        if self.integer:
            result = Tensor(name=name, shape=shape, dtype="INT8", scale=(scale,), zero=zero)
        output = self.tensor(result)
        self.called[output], self.wanted[output] = name, (scale, zero)
        one = Operator(kind=kind, inputs=inputs, outputs=(output,), options=options)
        self.operators.append(one)
        return output

    def custom(
        self,
        kind: str,
        inputs: tuple[int, ...],
        shapes: Mapping[str, Shape],
        options: Mapping[str, Any],
    ) -> dict[str, int]:
        """Write a custom operator; return the numbers of its outputs by their names."""
        outputs = {n: self.tensor(Tensor(name=n, shape=shape)) for n, shape in shapes.items()}
        one = Operator(
            kind=kind, inputs=inputs, outputs=(*outputs.values(),), options=options, custom=True
        )
        self.operators.append(one)
        return outputs

    def numbers(self, name: str, value: Any) -> int:
        data = np.asarray(value, np.int32)
        return self.tensor(Tensor(name=name, shape=data.shape, dtype="INT32", data=data))

    def constant(self, name: str, value: Any, *, axis: int | None = None) -> int:
        """Write a float constant; in int8 with a scale for every entry along `axis`, or one."""
        data = np.asarray(value, np.float32)
        if not self.integer:
            return self.tensor(Tensor(name=name, shape=data.shape, data=data))
        others = tuple(i for i in range(data.ndim) if i != axis)
        peak = np.maximum(np.abs(data).max(axis=others, keepdims=True), 1e-6)
        return self.tensor(
            Tensor(
                name=name, shape=data.shape, dtype="INT8", axis=axis or 0,
                data=np.rint(data * (127 / peak)).astype(np.int8),
                scale=tuple(float(x) / 127 for x in peak.reshape(-1)),
            )
        )  # fmt: skip

    def bias(self, name: str, value: NDArray[Any], x: int, weight: int) -> int:
        data = np.asarray(value, np.float32)
        if not self.integer:
            return self.constant(name, data)
        scale = np.array(self.tensors[weight].scale) * self.tensors[x].scale[0]
        steps = np.rint(data / scale).astype(np.int32)
        return self.tensor(
            Tensor(name=name, shape=data.shape, dtype="INT32", data=steps,
                   scale=tuple(scale.tolist()))
        )  # fmt: skip

    def flat(self, x: int, name: str) -> int:
        """Return `x` as (batch, channels)."""
        shape = self.tensors[x].shape
        if len(shape) == 2:
            return x
        return self.like(x, self.reshape(x, name, (shape[0], shape[3])))

    def maps(self, x: int, name: str) -> int:
        """Return `x` as (batch, height, width, channels)."""
        shape = self.tensors[x].shape
        if len(shape) == 4:
            return x
        return self.like(x, self.reshape(x, name, (shape[0], 1, 1, shape[1])))

    def reshape(self, x: int, name: str, shape: Shape) -> int:
        sides = (-1 if self.resized else shape[0], *shape[1:])
        to = self.numbers(f"{name}.shape", sides)
        return self.add("RESHAPE", (x, to), name, shape, self.range(x), newShape=list(sides))

    def range(self, x: int) -> _Range:
        """Return the range that `x` has in int8, or would have."""
        tensor = self.tensors[x]
        return (tensor.scale[0], tensor.zero) if tensor.scale else self.wanted.get(x, _WIDE)

    def mean(self, x: int, name: str) -> int:
        batch, _, _, channels = self.tensors[x].shape
        axes = self.numbers(f"{name}.axes", (1, 2))
        return self.add("MEAN", (x, axes), name, (batch, 1, 1, channels), keepDims=True)

    def conv(self, x: int, name: str, layer: Conv) -> int:
        padding = _SAME
        if layer.padding != "same":
            x, padding = self.padded(x, layer.kernel, layer.stride, f"{name}.pad")
        outputs, *sides = layer.out_shape
        depthwise = layer.groups == outputs > 1
        return self.weighted(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            x, name, (self.tensors[x].shape[0], *sides, outputs), layer,
            padding=padding, strideH=layer.stride, strideW=layer.stride,
            **({"depthMultiplier": 1} if depthwise else {}),
        )  # fmt: skip

    def linear(self, x: int, name: str, layer: Linear) -> int:
        shape = (self.tensors[x].shape[0], layer.out_features)
        return self.weighted("FULLY_CONNECTED", x, name, shape, layer)

    def weighted(
        self, kind: str, x: int, name: str, shape: Shape, layer: Conv | Linear, **options: Any
    ) -> int:  # fmt: skip
        """Write an operator and the activation after it, inside it where the format can."""
        act, (axes, scaled) = layer.act, _LAYOUTS[kind]
        values, bias = fold_norm(self.weights, name, layer)
        weight = self.constant(f"{name}.weight", values.transpose(axes), axis=scaled)
        bias = bias + self.shift(x, values.transpose(axes), weight, axes)
        inputs = (x, weight, self.bias(f"{name}.bias", bias, x, weight))
        made = f"{name}.{act}" if _FUSED.get(act) else name
        value = self.add(kind, inputs, name, shape,
                         self.ranges.get(made) or _RANGES.get(act, _WIDE),
                         fusedActivationFunction=_FUSED.get(act, 0), **options)  # fmt: skip
        self.called[value] = made
        return value if act in _FUSED else self.act(act, value, f"{name}.{act}")

    def shift(
        self, x: int, values: NDArray[Any], weight: int, axes: tuple[int, ...]
    ) -> NDArray[np.float64] | float:
        """Return what the rounding of `weight` takes from each output, given the means of `x`."""
        means, written = self.means.get(self.called.get(x, "")), self.tensors[weight]
        if means is None or written.data is None or not written.scale:
            return 0.0
        shape = [1] * values.ndim
        shape[written.axis] = len(written.scale)
        error = values - written.data * np.reshape(np.array(written.scale), shape)
        return bias_shift(error.transpose(np.argsort(axes)), means)

    def padded(
        self, x: int, kernel: int, stride: int, name: str, *, lowest: bool = False
    ) -> tuple[int, int]:
        """Return `x`, padded where the format's own padding is not torch's, and what to add.

        The pixels are 0, or with `lowest` less than any other.
        """
        if kernel == 1:
            return x, _VALID
        batch, *sides, channels = self.tensors[x].shape
        before = (kernel - 1) // 2
        spans = [(-(-side // stride) - 1) * stride + kernel - side for side in sides]
        any_size = 1 in self.resized and stride > 1
        if not any_size and all(max(span, 0) // 2 == before for span in spans):
            return x, _SAME
        pads = [(before, before if any_size else max(span - before, 0)) for span in spans]
        rows = self.numbers(name + "s", [(0, 0), *pads, (0, 0)])
        height, width = (side + sum(pad) for side, pad in zip(sides, pads, strict=True))
        shape = (batch, height, width, channels)
        if lowest:
            value = self.constant(f"{name}.value", [np.finfo(np.float32).min])
            return self.add("PADV2", (x, rows, value), name, shape), _VALID
        return self.like(x, self.add("PAD", (x, rows), name, shape, self.range(x))), _VALID

    def average(self, x: int, name: str, stride: int) -> int:
        """Write the 3x3 average pooling of a shortcut; what is padded does not count."""
        batch, *sides, channels = self.tensors[x].shape
        x, padding = self.padded(x, 3, stride, f"{name}.pad")
        height, width = (-(-side // stride) for side in sides)
        shape = (batch, height, width, channels)
        value = self.add("AVERAGE_POOL_2D", (x,), name, shape, self.range(x), padding=padding,
                         strideH=stride, strideW=stride, filterHeight=3, filterWidth=3)  # fmt: skip
        if padding == _SAME:
            return value
        rows, columns = (_taps(side, stride) for side in sides)
        share = 9 / (rows[:, None] * columns)
        factor = self.constant(f"{name}.factor", share[None, :, :, None])
        return self.add("MUL", (value, factor), f"{name}.scaled", shape)

    def plus(self, x: int, y: int, name: str) -> int:
        return self.add("ADD", (x, y), name, self.tensors[x].shape)

    def times(self, x: int, gate: int, name: str) -> int:
        return self.add("MUL", (x, gate), name, self.tensors[x].shape)

    def concat(self, maps: Sequence[int], name: str, layer: Concat) -> int:
        channels, *sides = layer.out_shape
        shape = (self.tensors[maps[0]].shape[0], *sides, channels)
        wanted = self.ranges.get(name) or self.range(maps[0])
        return self.add(
            "CONCATENATION", self.alike(maps, name, wanted), name, shape, wanted, axis=3
        )

    def alike(self, maps: Sequence[int], name: str, wanted: _Range) -> tuple[int, ...]:
        """Return maps that have, in int8, the range `wanted`."""
        return tuple(
            x
            if not self.integer or self.range(x) == wanted
            else self.add("QUANTIZE", (x,), f"{name}.in{number}", self.tensors[x].shape, wanted)
            for number, x in enumerate(maps)
        )

    def total(self, maps: Sequence[int], name: str, layer: Add) -> int:
        value = maps[0]
        for number, more in enumerate(maps[1:], 1):
            value = self.plus(value, more, name if number == 1 else f"{name}.{number}")
        return value if layer.act == "none" else self.act(layer.act, value, f"{name}.{layer.act}")

    def upsample(self, x: int, name: str, layer: Upsample) -> int:
        channels, *sides = layer.out_shape
        shape = (self.tensors[x].shape[0], *sides, channels)
        size = self.numbers(f"{name}.size", sides)
        return self.add("RESIZE_NEAREST_NEIGHBOR", (x, size), name, shape, self.range(x))

    def maxpool(self, x: int, name: str, layer: MaxPool) -> int:
        channels, *sides = layer.out_shape
        x, padding = self.padded(x, layer.kernel, layer.stride, f"{name}.pad", lowest=True)
        shape = (self.tensors[x].shape[0], *sides, channels)
        return self.add("MAX_POOL_2D", (x,), name, shape, self.range(x),
                        padding=padding, strideH=layer.stride,
                        strideW=layer.stride, filterHeight=layer.kernel,
                        filterWidth=layer.kernel)  # fmt: skip

    def split(self, x: int, name: str, layer: Split) -> int:
        channels, *sides = layer.out_shape
        begin = self.numbers(f"{name}.begin", (0, 0, 0, layer.first))
        size = self.numbers(f"{name}.size", (-1, -1, -1, channels))
        shape = (self.tensors[x].shape[0], *sides, channels)
        return self.add("SLICE", (x, begin, size), name, shape, self.range(x))

    def shuffle(self, x: int, name: str, layer: Shuffle) -> int:
        batch, height, width, channels = self.tensors[x].shape
        halves = self.reshape(x, f"{name}.halves", (batch, height, width, 2, channels // 2))
        order = self.numbers(f"{name}.order", (0, 1, 2, 4, 3))
        pairs = self.add("TRANSPOSE", (halves, order), f"{name}.pairs",
                         (batch, height, width, channels // 2, 2), self.range(x))  # fmt: skip
        return self.reshape(pairs, name, (batch, height, width, channels))

    def predictions(self, x: int, name: str, numbers: int) -> int:
        batch, height, width, channels = self.tensors[x].shape
        return self.reshape(x, name, (batch, height * width * channels // numbers, numbers))

    def stack(self, values: Sequence[int], name: str) -> int:
        batch, _, numbers = self.tensors[values[0]].shape
        total = sum(self.tensors[value].shape[1] for value in values)
        wanted = self.ranges.get(name) or self.range(values[0])
        shape = (batch, total, numbers)
        return self.add(
            "CONCATENATION", self.alike(values, name, wanted), name, shape, wanted, axis=1
        )

    def act(self, act: str, x: int, name: str) -> int:
        shape = self.tensors[x].shape
        match act:
            case "hswish":
                return self.add("HARD_SWISH", (x,), name, shape)
            case "swish":
                gate = self.act("sigmoid", x, f"{name}.sigmoid")
                return self.add("MUL", (x, gate), name, shape)
            case "hsigmoid":
                three = self.constant(f"{name}.three", [3])
                relu6 = _RANGES["relu6"]
                clipped = self.add("ADD", (x, three), f"{name}.relu6", shape, relu6,
                                   fusedActivationFunction=_FUSED["relu6"])  # fmt: skip
                sixth = self.constant(f"{name}.sixth", [1 / 6])
                return self.add("MUL", (clipped, sixth), name, shape, _UNIT)
        return self.add("LOGISTIC", (x,), name, shape, _UNIT)


def _taps(side: int, stride: int) -> NDArray[np.int64]:
    """Return how many of three neighbours around every `stride`-th place lie within `side`."""
    places = np.arange(0, side, stride)
    return np.minimum(places + 2, side) - np.maximum(places - 1, 0)
