"""Write a graph of TensorFlow Lite operators as the content of a .tflite file.

The schema of the format and the flatbuffers library come with ai-edge-litert, and are imported
when a file is written, not before. Models are of version 3, the only one in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import missing_package

Shape = tuple[int, ...]
GraphIO = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """A value of a graph; one with `data` is a constant.

    `dtype` is "FLOAT32", "INT32" or "INT8". The number that a step s of an integer tensor stands
    for is `scale * (s - zero)`; several scales belong to the entries along `axis`. `signature` is
    the shape with -1 for every side that may be resized.
    """

    name: str
    shape: Shape
    signature: Shape = ()
    dtype: str = "FLOAT32"
    data: NDArray[Any] | None = None
    scale: tuple[float, ...] = ()
    zero: int = 0
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator with the numbers of its tensors; `options` as the format names them.

    A `custom` one is called `kind` by who made it, and its options are a table without a schema.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: bool = False


_OPTIONS: Mapping[str, str] = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "HARD_SWISH": "HardSwishOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "QUANTIZE": "QuantizeOptions",
    "PADV2": "PadV2Options",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE": "TransposeOptions",
}
"""From the kind of an operator to the type of its options; the others have none."""

_BYTE_VERSIONS: Mapping[str, int] = {
    "ADD": 2, "AVERAGE_POOL_2D": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4, "LOGISTIC": 2, "MEAN": 2, "MUL": 2, "PAD": 2,
}  # fmt: skip
"""The first versions of operators that take signed bytes; in floats all are of version 1."""

_ALIGNMENT = 16
_LAST_OLD_CODE = 127
"""Operators up to this number are also named in the place that old readers look at."""


def pack(
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    ends: GraphIO,
    *,
    metadata: Mapping[str, str],
    description: str,
) -> bytes:
    """Return the file of a graph; `ends` are the numbers of its inputs and of its outputs.

    Raises:
        MissingPackage: if ai-edge-litert is not installed.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by="writing TensorFlow Lite files") from None
    kinds = sorted({(operator.kind, operator.custom) for operator in operators})
    texts = [np.frombuffer(text.encode(), np.uint8) for text in metadata.values()]
    constants = [tensor.data for tensor in tensors if tensor.data is not None]
    data = [
        *(np.ascontiguousarray(value).reshape(-1).view(np.uint8) for value in constants),
        *texts,
    ]
    first_text = len(constants) + 1
    model = _new(
        schema, "Model",
        version=3,
        description=description,
        operatorCodes=[_code(schema, kind, custom, integer=_is_integer(tensors))
                       for kind, custom in kinds],
        subgraphs=[_graph(schema, tensors, operators, ends, kinds)],
        buffers=[schema.BufferT(), *(_Buffer(schema, values) for values in data)],
        metadata=[_new(schema, "Metadata", name=name, buffer=first_text + i)
                  for i, name in enumerate(metadata)],
        signatureDefs=[_signature(schema, tensors, ends)],
    )  # fmt: skip
    builder = flatbuffers.Builder(sum(len(values) for values in data) + 2**16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@dataclass(frozen=True, slots=True)
class _Buffer:
    """A buffer whose data begin at a multiple of 16 bytes, as kernels expect them."""

    schema: ModuleType
    data: NDArray[np.uint8]

    def Pack(self, builder: Any) -> int:  # the name that the schema calls
        builder.Prep(_ALIGNMENT, len(self.data))
        data = builder.CreateNumpyVector(self.data)
        self.schema.BufferStart(builder)
        self.schema.BufferAddData(builder, data)
        buffer: int = self.schema.BufferEnd(builder)
        return buffer


def _new(schema: ModuleType, kind: str, /, **values: Any) -> Any:
    record = getattr(schema, f"{kind}T")()  # older versions take no values here
    for name, value in values.items():
        setattr(record, name, value)
    return record


def _is_integer(tensors: Sequence[Tensor]) -> bool:
    return any(tensor.dtype == "INT8" for tensor in tensors)


def _code(schema: ModuleType, kind: str, custom: bool, *, integer: bool) -> Any:
    if custom:
        number = schema.BuiltinOperator.CUSTOM
        return _new(schema, "OperatorCode", builtinCode=number, deprecatedBuiltinCode=number,
                    customCode=kind, version=1)  # fmt: skip
    number = getattr(schema.BuiltinOperator, kind)
    return _new(
        schema, "OperatorCode",
        builtinCode=number,
        deprecatedBuiltinCode=min(number, _LAST_OLD_CODE),
        version=_BYTE_VERSIONS.get(kind, 1) if integer else 1,
    )  # fmt: skip


def _graph(
    schema: ModuleType, tensors: Sequence[Tensor], operators: Sequence[Operator],
    ends: GraphIO, kinds: list[tuple[str, bool]],
) -> Any:  # fmt: skip
    constants = (i for i, tensor in enumerate(tensors) if tensor.data is not None)
    buffers = {i: number for number, i in enumerate(constants, start=1)}
    return _new(
        schema, "SubGraph",
        name="main",
        tensors=[_tensor(schema, t, buffers.get(i, 0)) for i, t in enumerate(tensors)],
        inputs=list(ends[0]),
        outputs=list(ends[1]),
        operators=[_operator(schema, operator, kinds) for operator in operators],
    )  # fmt: skip


def _tensor(schema: ModuleType, tensor: Tensor, buffer: int) -> Any:
    quantization = _new(
        schema, "QuantizationParameters",
        scale=list(tensor.scale),
        zeroPoint=[tensor.zero] * len(tensor.scale),
        quantizedDimension=tensor.axis,
    )  # fmt: skip
    return _new(
        schema, "Tensor",
        name=tensor.name,
        shape=list(tensor.shape),
        shapeSignature=list(tensor.signature) or None,
        type=getattr(schema.TensorType, tensor.dtype),
        buffer=buffer,
        quantization=quantization if tensor.scale else None,
    )  # fmt: skip


def _operator(schema: ModuleType, operator: Operator, kinds: list[tuple[str, bool]]) -> Any:
    place = kinds.index((operator.kind, operator.custom))
    if operator.custom:
        return _new(
            schema, "Operator",
            opcodeIndex=place,
            inputs=list(operator.inputs),
            outputs=list(operator.outputs),
            customOptions=_table(operator.options),
        )  # fmt: skip
    name = _OPTIONS.get(operator.kind)
    return _new(
        schema, "Operator",
        opcodeIndex=place,
        inputs=list(operator.inputs),
        outputs=list(operator.outputs),
        builtinOptionsType=getattr(schema.BuiltinOptions, name) if name else 0,
        builtinOptions=_new(schema, name, **operator.options) if name else None,
    )  # fmt: skip


def _table(options: Mapping[str, Any]) -> list[int]:
    """Return options as the bytes of a table without a schema."""
    from flatbuffers import flexbuffers

    return list(flexbuffers.Dumps(dict(options)))


def _signature(schema: ModuleType, tensors: Sequence[Tensor], ends: GraphIO) -> Any:
    inputs, outputs = (
        [_new(schema, "TensorMap", name=tensors[i].name, tensorIndex=i) for i in numbers]
        for numbers in ends
    )
    return _new(
        schema, "SignatureDef", signatureKey="serving_default", inputs=inputs, outputs=outputs
    )
