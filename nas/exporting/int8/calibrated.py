"""What calibration gives a graph in int8."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nas.exporting.int8.correction import Means
from nas.exporting.int8.ranges import FLOAT_IO, IOTypes, QuantizationGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """The grids of values in int8, by their names in the ONNX graph, and what it begins with.

    With the `means` of values biases are corrected for what rounding does to the weights. The
    layers `floats` stay in float, named likewise.
    `io_types` are what the graph takes and gives.
    """

    grids: Mapping[str, QuantizationGrid]
    means: Means = field(default_factory=dict)
    io_types: IOTypes = FLOAT_IO
    floats: Collection[str] = ()
