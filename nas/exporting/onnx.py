"""Write units as an ONNX graph, from the same layers as everything else and without torch.

For deployment and measuring, batch normalisation is folded into the convolution before it, and
dropout and drop-connect are left out. Padding is equal on both sides, or TensorFlow's by its name,
so that one graph is right for every size of its input. onnx is imported when a graph is written.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import NasError, missing_package
from nas.exporting.walk import (
    BOXES,
    INPUT,
    OUTPUT,
    SCORES,
    facts,
    is_vector,
    prepared,
    walk,
    walk_detector,
)
from nas.network.blocks import Architecture
from nas.network.detector import Detector
from nas.network.layers import Add, Concat, Conv, Linear, MaxPool, Shuffle, Split, Unit, Upsample
from nas.network.lowering import ends, lower, takes_any_size
from nas.network.weights import Weights, fold_norm

if TYPE_CHECKING:
    import onnx

OPSET = 17
"""Of 2022: new enough for every operator used here, old enough for most runtimes."""

_LOWEST_OPSET = 9
_NEEDED_OPSETS: Mapping[str, int] = {
    "Clip": 11,
    "Unsqueeze": 13,
    "HardSwish": 14,
    "Slice": 10,
    "Resize": 13,
}
"""The first versions of operators with the inputs written here; the others have the lowest."""

_SIMPLE_ACTS = {"relu": "Relu", "hswish": "HardSwish", "sigmoid": "Sigmoid"}


def to_onnx(
    arch: Architecture,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> "onnx.ModelProto":
    """Return `arch` as an ONNX model that maps "input" to "logits", or to "boxes" and "scores".

    The input is (batch, channels, resolution, resolution), the output (batch, classes); those of a
    detector are not yet decoded (see `nas.network.detector`). A `batch`
    of None leaves the batch size open, and height and width where the network pools
    (`takes_any_size`). Without `weights` they are random (`random_weights`). The metadata hold the
    fingerprint, name and resolution of `arch`, and what is given as `metadata`.

    Raises:
        NasError: if a weight is missing, unknown, or of another shape; if `batch` is not positive;
            if onnx does not know `opset`, or the operators need a later one.
        MissingPackage: if onnx is not installed.
    """
    units, metadata = lower(arch), facts(arch, metadata, layout="NCHW")
    weights = prepared(units, weights, seed=seed, batch=batch, form="an ONNX")
    return _to_onnx(units, weights, arch.detector, batch=batch, opset=opset, metadata=metadata)


def units_to_onnx(
    units: Sequence[Unit],
    weights: Weights | None = None,
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> "onnx.ModelProto":
    """Return units in the order of execution, one or more, as an ONNX model; see `to_onnx`.

    The output is without height and width where both are 1. Every value inside is named after its
    unit and layer.

    Raises:
        NasError: also if there are no units, or two of them have the same name.
    """
    weights = prepared(units, weights, seed=seed, batch=batch, form="an ONNX")
    return _to_onnx(units, weights, None, batch=batch, opset=opset, metadata=metadata or {})


def _to_onnx(
    units: Sequence[Unit],
    weights: Weights,
    detector: Detector | None,
    *,
    batch: int | None,
    opset: int,
    metadata: Mapping[str, str],
) -> "onnx.ModelProto":
    writer = _Writer(weights)
    outputs = _write(writer, units, detector)
    graph = _to_graph(writer, units, outputs, batch=batch, name=metadata.get("name") or "units")
    return _to_model(graph, opset=opset, metadata=metadata)


def _write(
    writer: "_Writer", units: Sequence[Unit], detector: Detector | None
) -> Mapping[str, tuple[int, ...]]:
    """Write `units`, and return the outputs of the graph with their shapes behind the batch."""
    if detector is not None:
        walk_detector(units, writer, INPUT, detector)
        shapes = {unit.name: unit.out_shape for unit in units}
        count = sum(level.size * prod(shapes[level.boxes][1:]) for level in detector.levels)
        return {BOXES: (count, detector.numbers), SCORES: (count, detector.scores)}
    values, last = walk(units, writer, INPUT), ends(units)
    if len(values) > 1:
        return {value: unit.out_shape for value, unit in zip(values, last, strict=True)}
    writer.nodes[-1] = replace(writer.nodes[-1], output=OUTPUT)
    return {OUTPUT: last[0].out_shape[:1] if is_vector(last[0]) else last[0].out_shape}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class _Writer:
    """Collects the nodes and constants of a graph; its methods return the name of a value."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[_Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.vectors: set[str] = set()

    def add(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> str:
        self.nodes.append(_Node(op=op, inputs=inputs, output=output, attributes=attributes))
        return output

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
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
        return self.add(_SIMPLE_ACTS[act], (x,), output)


def _to_graph(
    writer: _Writer,
    units: Sequence[Unit],
    outputs: Mapping[str, tuple[int, ...]],
    *,
    batch: int | None,
    name: str,
) -> "onnx.GraphProto":
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="writing ONNX") from None
    in_shape: tuple[int | str, ...] = units[0].in_shape
    if batch is None and takes_any_size(units):
        in_shape = (in_shape[0], "height", "width")
    size = batch or "batch"
    return helper.make_graph(
        [
            helper.make_node(
                node.op, node.inputs, [node.output], name=node.output, **node.attributes
            )
            for node in writer.nodes
        ],
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [size, *in_shape])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, [size, *shape])
            for output, shape in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in writer.constants.items()],
    )


def _to_model(
    graph: "onnx.GraphProto", *, opset: int, metadata: Mapping[str, str]
) -> "onnx.ModelProto":
    from onnx import helper

    _check_opset(opset, {node.op_type for node in graph.node})
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="nas",
    )
    helper.set_model_props(model, dict(metadata))
    return model


def _check_opset(opset: int, operators: Set[str]) -> None:
    """Refuse a version that is too low for `operators`, or unknown to onnx."""
    from onnx import __version__, defs

    needed = {op: _NEEDED_OPSETS.get(op, _LOWEST_OPSET) for op in operators}
    op, least = max(sorted(needed.items()), key=lambda item: item[1])
    if opset < least:
        raise NasError(f"the opset must be {least} or more for {op}, not {opset}")
    most = defs.onnx_opset_version()
    if opset > most:
        raise NasError(f"the opset must be {most} or less for onnx {__version__}, not {opset}")
