"""Write units as an ONNX graph, from the same layers as everything else and without torch.

For deployment and measuring, batch normalisation is folded into the convolution before it, and
dropout and drop-connect are left out. Padding is equal on both sides, or TensorFlow's by its name,
so that one graph is right for every size of its input. onnx is imported when a graph is written.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from nas.core.errors import NasError, missing_package
from nas.exporting._onnx_writer import OnnxWriter
from nas.exporting.onnx_boxes import BOXES, LABELS, SCORES, write_boxes
from nas.exporting.walk import (
    BOX_NUMBERS,
    CLASS_SCORES,
    INPUT,
    OUTPUT,
    box_metadata,
    file_metadata,
    input_name,
    is_vector,
    prepared,
    walk,
    walk_detector,
)
from nas.network.blocks import IMAGE, Architecture
from nas.network.detector import Detector, NmsSettings, default_nms
from nas.network.layers import Unit
from nas.network.lowering import ends, inputs_of, lower, priors_of, takes_any_size
from nas.network.weights import Weights

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
    "NonMaxSuppression": 11,
    "GatherND": 12,
    "Squeeze": 13,
    "Softmax": 13,
    "TopK": 11,
    "Min": 12,
}
"""The first versions of operators with the inputs written here; the others have the lowest."""


def to_onnx(
    arch: Architecture,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> "onnx.ModelProto":
    """Return `arch` as an ONNX model that maps "input" to "logits", or to a detector's outputs.

    The input is (batch, channels, resolution, resolution), the output (batch, classes). A detector
    gives "box_numbers" and "class_scores", not yet decoded (see `nas.network.detector`). A `batch`
    of None leaves the batch size open, and height and width where the network pools
    (`takes_any_size`). Without `weights` they are random (`random_weights`). The metadata hold the
    fingerprint, name and resolution of `arch`, and what is given as `metadata`.

    Raises:
        NasError: if a weight is missing, unknown, or of another shape; if `batch` is not positive;
            if onnx does not know `opset`, or the operators need a later one.
        MissingPackage: if onnx is not installed.
    """
    units, metadata = lower(arch), file_metadata(arch, metadata, layout="NCHW")
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


def detector_to_onnx(
    arch: Architecture,
    weights: Weights | None = None,
    *,
    nms: NmsSettings | None = None,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> "onnx.ModelProto":
    """Return a detector as an ONNX model that maps an image to the boxes found in it.

    The outputs are "boxes" (found, 4), left, top, right and bottom in pixels of the input, "scores"
    (found,) and "labels" (found,), numbers of classes; best first. `nms` are the usual ones by
    default. Input, weights and metadata are those of `to_onnx`; the batch is one image.

    Raises:
        NasError: as `to_onnx` does, and if `arch` is no detector.
    """
    start, units = priors_of(arch), lower(arch)
    assert arch.detector is not None  # it has priors
    kept = nms or default_nms(arch.detector)
    writer = OnnxWriter(prepared(units, weights, seed=0, batch=1, form="an ONNX"))
    numbers, scores = walk_detector(units, writer, INPUT, arch.detector)
    write_boxes(writer, numbers, scores, arch.detector, start, kept)
    facts_of = {**file_metadata(arch, metadata, layout="NCHW"), **box_metadata(kept)}
    outputs = (
        _Output(BOXES, ("found", 4)),
        _Output(SCORES, ("found",)),
        _Output(LABELS, ("found",), "INT64"),
    )
    graph = _to_graph(writer, units, outputs, batch=1, name=arch.name or "detector")
    return _to_model(graph, opset=opset, metadata=facts_of)


@dataclass(frozen=True, slots=True)
class _Output:
    """An output of a graph, with its shape and the type of its numbers."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "FLOAT"


def _to_onnx(
    units: Sequence[Unit],
    weights: Weights,
    detector: Detector | None,
    *,
    batch: int | None,
    opset: int,
    metadata: Mapping[str, str],
) -> "onnx.ModelProto":
    writer = OnnxWriter(weights)
    size = batch or "batch"
    outputs = [_Output(n, (size, *shape)) for n, shape in _write(writer, units, detector).items()]
    graph = _to_graph(writer, units, outputs, batch=batch, name=metadata.get("name") or "units")
    return _to_model(graph, opset=opset, metadata=metadata)


def _write(
    writer: OnnxWriter, units: Sequence[Unit], detector: Detector | None
) -> Mapping[str, tuple[int, ...]]:
    """Write `units`, and return the outputs of the graph with their shapes behind the batch."""
    if detector is not None:
        walk_detector(units, writer, INPUT, detector)
        shapes = {unit.name: unit.out_shape for unit in units}
        count = sum(level.size * prod(shapes[level.boxes][1:]) for level in detector.levels)
        return {BOX_NUMBERS: (count, detector.numbers), CLASS_SCORES: (count, detector.scores)}
    more = {place: input_name(place) for place in inputs_of(units)}
    values, last = walk(units, writer, INPUT, more), ends(units)
    if len(values) > 1:
        return {value: unit.out_shape for value, unit in zip(values, last, strict=True)}
    writer.nodes[-1] = replace(writer.nodes[-1], outputs=(OUTPUT,))
    return {OUTPUT: last[0].out_shape[:1] if is_vector(last[0]) else last[0].out_shape}


def _to_graph(
    writer: OnnxWriter,
    units: Sequence[Unit],
    outputs: Sequence[_Output],
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
                node.op, node.inputs, node.outputs, name=node.outputs[0], **node.attributes
            )
            for node in writer.nodes
        ],
        name,
        [
            helper.make_tensor_value_info(input_name(place), TensorProto.FLOAT, [size, *shape])
            for place, shape in {**inputs_of(units), IMAGE: in_shape}.items()
        ],
        [
            helper.make_tensor_value_info(
                output.name, getattr(TensorProto, output.dtype), output.shape
            )
            for output in outputs
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
