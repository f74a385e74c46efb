"""Write units as a TensorFlow Lite graph, from the same layers as everything else.

It computes the same as the graph of `nas.exporting.onnx`, with the same weights, but its values are
(batch, height, width, channels), as everywhere in TensorFlow Lite, its input included. Symmetric
padding is equal on both sides; where TensorFlow's differs, which for stride 2 adds nothing before
and all after an even side, a PAD stands before the convolution, and XNNPACK fuses both.

The input of a graph for deployment can be resized (`Interpreter.resize_tensor_input`); a graph that
is timed has one shape. Where height and width can be resized, every PAD is equal on both sides,
which is right for even and odd ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from nas.exporting._mixed_writer import MixedWriter
from nas.exporting._tflite_writer import TfliteWriter
from nas.exporting.int8.calibrated import Calibrated
from nas.exporting.int8.ranges import QuantizationGrid
from nas.exporting.tflite_boxes import write_boxes
from nas.exporting.tflite_file import pack
from nas.exporting.walk import (
    BOX_NUMBERS,
    CLASS_SCORES,
    OUTPUT,
    box_metadata,
    file_metadata,
    input_name,
    prepared,
    walk,
    walk_detector,
)
from nas.network.blocks import IMAGE, Architecture
from nas.network.detector import Detector, NmsSettings, default_nms
from nas.network.layers import Unit
from nas.network.lowering import inputs_of, lower, priors_of, takes_any_size
from nas.network.weights import Weights, join

_FORM = "a TensorFlow Lite"


def to_tflite(
    arch: Architecture,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    batch: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return `arch` as a .tflite file that maps "input" to "logits", or to a detector's outputs.

    The input is (batch, resolution, resolution, channels), the output (batch, classes). A `batch`
    of None gives 1, which may be resized; so may height and width where the network pools
    (`takes_any_size`; a strided shortcut that pools fixes both). Weights and metadata are those of
    `nas.exporting.onnx.to_onnx`.

    Raises:
        NasError: if a weight is missing, unknown, or of another shape.
        MissingPackage: if ai-edge-litert is not installed.
    """
    units, metadata = lower(arch), file_metadata(arch, metadata, layout="NHWC")
    weights = prepared(units, weights, seed=seed, batch=batch, form=_FORM)
    writer = TfliteWriter(weights, integer=False, resized=_resized(units, batch))
    return _packed(writer, units, arch.detector, batch=batch, metadata=metadata)


def units_to_tflite(
    units: Sequence[Unit],
    weights: Weights | None = None,
    *,
    seed: int = 0,
    batch: int | None = None,
    dtype: str = "fp32",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return units in the order of execution, one or more, as a .tflite file; see `to_tflite`.

    A `dtype` of "int8" gives a graph to be timed: signed bytes everywhere, with fixed scales
    instead of calibrated ones, between a float input and a float output.

    Raises:
        NasError: also if there are no units, two of them have the same name, or the batch size is
            not positive.
    """
    weights = prepared(units, weights, seed=seed, batch=batch, form=_FORM)
    writer = TfliteWriter(weights, integer=dtype == "int8", resized=_resized(units, batch))
    return _packed(writer, units, None, batch=batch, metadata=metadata or {})


def int8_to_tflite(
    arch: Architecture,
    weights: Weights,
    calibrated: Calibrated,
    *,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return `arch` as a .tflite file in int8, as `calibrated`, of `to_tflite`'s form.

    A detector gives its numbers. Where layers stay in float, so do values that no other layer
    needs as bytes.

    Raises:
        NasError: as `to_tflite` does.
    """
    units = lower(arch)
    weights = prepared(units, weights, seed=0, batch=None, form=_FORM)
    last = join(units[-1].name, units[-1].layers[-1].name)
    named = replace(
        calibrated,
        grids=_with_last(last, calibrated.grids),
        floats=[last if name == OUTPUT else name for name in calibrated.floats],
    )
    writer = TfliteWriter(weights, integer=True, resized=_resized(units, None), calibrated=named)
    about = file_metadata(arch, metadata, layout="NHWC")
    mixed = _mixed(writer, named.floats)
    return _packed(mixed, units, arch.detector, batch=None, metadata=about)


def _mixed(writer: TfliteWriter, floats: Collection[str]) -> TfliteWriter | MixedWriter:
    """Return what writes a graph in int8 by `writer`, with the layers `floats` in float."""
    return MixedWriter(writer, floats) if floats else writer


def _with_last(last: str, grids: Mapping[str, QuantizationGrid]) -> dict[str, QuantizationGrid]:
    """Return `grids` with that of the output under the name of the last layer."""
    return {**grids, **({last: grids[OUTPUT]} if OUTPUT in grids else {})}


def detector_to_tflite(
    arch: Architecture,
    weights: Weights | None = None,
    *,
    nms: NmsSettings | None = None,
    metadata: Mapping[str, str] | None = None,
    calibrated: Calibrated | None = None,
) -> bytes:
    """Return a detector as a .tflite file that maps an image to the boxes found in it.

    If it is `calibrated` it is in int8, but for what turns numbers into boxes.

    The outputs are "boxes" (1, most, 4), left, top, right and bottom in pixels of the input,
    "labels" (1, most), numbers of classes as floats, "scores" (1, most), and "count" (1,), how many
    of them are boxes; best first. `nms` are the usual ones by default.

    Raises:
        NasError: as `to_tflite` does, and if `arch` is no detector.
    """
    start, units = priors_of(arch), lower(arch)
    assert arch.detector is not None  # it has priors
    kept = nms or default_nms(arch.detector)
    weights = prepared(units, weights, seed=0, batch=1, form=_FORM)
    known = calibrated or Calibrated(grids={})
    writer = TfliteWriter(weights, integer=calibrated is not None, calibrated=known)
    channels, height, width = units[0].in_shape
    mixed = _mixed(writer, known.floats)
    value = mixed.begin((1, height, width, channels))
    last = walk_detector(units, mixed, value, arch.detector)
    numbers, scores = (writer.as_float(end, f"float.{i}") for i, end in enumerate(last))
    writer.integer = False
    outputs = write_boxes(writer, numbers, scores, arch.detector, start, kept)
    about = {**file_metadata(arch, metadata, layout="NHWC"), **box_metadata(kept)}
    name = arch.name or "detector"
    return pack(
        writer.tensors,
        writer.operators,
        (writer.inputs, [*outputs.values()]),
        metadata=about,
        description=name,
    )


def _packed(
    writer: TfliteWriter | MixedWriter,
    units: Sequence[Unit],
    detector: Detector | None,
    *,
    batch: int | None,
    metadata: Mapping[str, str],
) -> bytes:
    channels, height, width = units[0].in_shape
    value = writer.begin((batch or 1, height, width, channels))
    if detector is None:
        more = {
            place: writer.begin((batch or 1, *shape[1:], shape[0]), input_name(place))
            for place, shape in inputs_of(units).items()
            if place != IMAGE
        }
        values = walk(units, writer, value, more)
        names = [OUTPUT, *(f"{OUTPUT}.{number}" for number in range(1, len(values)))]
        outputs = dict(zip(names, values, strict=True))
    else:
        boxes, scores = walk_detector(units, writer, value, detector)
        outputs = {BOX_NUMBERS: boxes, CLASS_SCORES: scores}
    ends = [writer.end(name, value) for name, value in outputs.items()]
    graph = writer.graph if isinstance(writer, MixedWriter) else writer
    name = metadata.get("name") or "units"
    return pack(
        graph.tensors, graph.operators, (graph.inputs, ends), metadata=metadata, description=name
    )


def _resized(units: Sequence[Unit], batch: int | None) -> frozenset[int]:
    """Return the axes of maps that may be resized."""
    if batch is not None:
        return frozenset()
    strided = any(unit.shortcut == "pool" and unit.block.stride > 1 for unit in units)
    return frozenset({0, 1, 2} if takes_any_size(units) and not strided else {0})
