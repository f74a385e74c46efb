"""Give int8 graphs an input and an output of bytes, for devices whose camera or code has these."""

import onnx

from nas.core.errors import NasError
from nas.exporting.int8.ranges import IOTypes


def with_io_types(model: onnx.ModelProto, io_types: IOTypes) -> onnx.ModelProto:
    """Return `model`, a graph of `to_qdq`, with bytes where `io_types` says so.

    They are bytes without a sign, in the grids that they have inside the graph.

    Raises:
        NasError: if an end has no bytes inside the graph, since its layer stays in float.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if io_types.input:
        _input(result.graph)
    if io_types.output:
        for output in result.graph.output:
            _output(result.graph, output)
    return result


def _input(graph: onnx.GraphProto) -> None:
    given = graph.input[0]
    first = [n for n in graph.node if given.name in n.input]
    if [node.op_type for node in first] != ["QuantizeLinear"]:
        layer = first[0].output[0].removesuffix(".float") if first else given.name
        raise NasError(
            f"the input cannot be int8: {layer}, which reads it, stays in float; give a larger "
            "`max_drop`, or leave the input in float"
        )
    (node,) = first
    _drop(graph, node)
    _rename(graph, node.output[0], given.name)
    given.type.tensor_type.elem_type = onnx.TensorProto.UINT8


def _output(graph: onnx.GraphProto, output: onnx.ValueInfoProto) -> None:
    (node,) = (n for n in graph.node if output.name in n.output)
    if node.op_type != "DequantizeLinear":
        raise NasError(
            f"the output {output.name} cannot be int8: what gives it stays in float; leave it so"
        )
    _drop(graph, node)
    _rename(graph, node.input[0], output.name)
    output.type.tensor_type.elem_type = onnx.TensorProto.UINT8


def _drop(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    kept = [other for other in graph.node if other.name != node.name]
    graph.ClearField("node")
    graph.node.extend(kept)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
