"""Predict latency from counts of operators: a linear model with coefficients >= 0.

Each layer is described by a few counts (multiply-adds, elements read and written, weights), and a
unit costs the sum of counts times coefficients. So the model is additive and extrapolates, which
trees fitted to the same data do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from nas.core.errors import BadValue, unknown
from nas.core.schema import Coefficient
from nas.network.layers import Conv, Layer, Linear, Pool, Squeeze, Unit

CACHE_ELEMENTS = 250_000
"""Elements of 4 bytes that fit in about 1 MB; depthwise inputs beyond it come from memory."""

COUNTS = (
    "conv_macs",
    "conv_reads",
    "conv_writes",
    "conv_weights",
    "depthwise_macs",
    "depthwise_spill",
    "linear_weights",
    "se_elements",
    "hswish",
    "swish",
)
"""What every model counts, in the order of the fit; see `counts`."""

FINER = (
    "layers",
    "spatial_macs",
    "odd_macs",
    "odd_depthwise_macs",
    "depthwise_reads",
    "depthwise_writes",
    "depthwise_strided",
    "squeezes",
    "clipped",
    "added",
    "pooled",
)
"""What a model may count besides, where the measurements can tell it apart from `COUNTS`."""

EXTENTS = ("kernel", "channels", "se_channels", "se_size")
"""Quantities of a layer that have a measured range; see `extents`."""

_ACT_COUNTS = {
    "hswish": "hswish", "hsigmoid": "hswish", "swish": "swish", "sigmoid": "swish",
    "relu": "clipped", "relu6": "clipped",
}  # fmt: skip
_POOLED_SHORTCUT_KERNEL = 3
_EVEN = 4
_IMAGE_CHANNELS = 3


def counts(layer: Layer) -> dict[str, int]:
    """Return what `layer` counts; a name that is absent counts nothing.

    A convolution with M output pixels, K = kernel^2 * input channels per group and N outputs
    counts M*K*N `conv_macs`, M*K `conv_reads`, M*N `conv_writes` and K*N `conv_weights`. A
    depthwise one counts `depthwise_macs` and, as `depthwise_spill`, the input elements beyond
    `CACHE_ELEMENTS`. `linear_weights` are those of fully connected layers, also inside
    squeeze-and-excitation, whose pooled and rescaled elements are `se_elements`. `hswish` and
    `swish` are the elements through these activations, or through their (hard) sigmoids.

    Finer: `layers` is 1 each; `spatial_macs` are the `conv_macs` of kernels above 1; `odd_...` are
    multiply-adds between channels that are no multiple of 4, for which many runtimes have slower
    kernels; `depthwise_strided` those with a stride; `squeezes` is 1 for a squeeze-and-excitation;
    `clipped` are elements through ReLU or ReLU6, `pooled` those of global pooling.
    """
    return {"layers": 1} | _counts(layer)


def _counts(layer: Layer) -> dict[str, int]:
    match layer:
        case Conv():
            return _conv_counts(layer) | _act_counts(layer.act, prod(layer.out_shape))
        case Squeeze(shape=shape, channels=inner):
            weights = 2 * shape[0] * inner
            return {"se_elements": prod(shape), "linear_weights": weights, "squeezes": 1}
        case Linear(in_features=inputs, out_features=outputs):
            return {"linear_weights": inputs * outputs} | _act_counts(layer.act, outputs)
        case Pool(in_shape=shape):
            return {"pooled": prod(shape)}


def _conv_counts(layer: Conv) -> dict[str, int]:
    channels, pixels = layer.out_shape[0], layer.out_shape[1] * layer.out_shape[2]
    if layer.groups == layer.in_shape[0] > 1:
        macs = pixels * channels * layer.kernel**2
        return {
            "depthwise_macs": macs,
            "odd_depthwise_macs": macs if channels % _EVEN else 0,
            "depthwise_spill": max(0, prod(layer.in_shape) - CACHE_ELEMENTS),
            "depthwise_reads": prod(layer.in_shape),
            "depthwise_writes": pixels * channels,
            "depthwise_strided": macs if layer.stride > 1 else 0,
        }
    inputs = layer.in_shape[0]
    taps = inputs // layer.groups * layer.kernel**2
    odd = channels % _EVEN or (inputs % _EVEN and inputs != _IMAGE_CHANNELS)
    return {
        "conv_macs": pixels * taps * channels,
        "conv_reads": pixels * taps * layer.groups,
        "conv_writes": pixels * channels,
        "conv_weights": taps * channels,
        "spatial_macs": pixels * taps * channels if layer.kernel > 1 else 0,
        "odd_macs": pixels * taps * channels if odd else 0,
    }


def _act_counts(act: str, elements: int) -> dict[str, int]:
    return {_ACT_COUNTS[act]: elements} if act in _ACT_COUNTS else {}


def counts_of(unit: Unit) -> dict[str, int]:
    """Return the summed counts of the layers of `unit`.

    A pooled shortcut counts as a 3x3 depthwise convolution, the operator most like it.
    """
    total: dict[str, int] = {}
    for layer in unit.layers:
        for name, count in counts(layer).items():
            total[name] = total.get(name, 0) + count
    if unit.shortcut == "pool":
        macs = prod(unit.out_shape) * _POOLED_SHORTCUT_KERNEL**2
        total["depthwise_macs"] = total.get("depthwise_macs", 0) + macs
    if unit.shortcut != "none":
        total["added"] = prod(unit.out_shape)
    return total


def extents(layer: Layer) -> dict[str, int]:
    """Return the quantities of `layer` that a measured range can bound.

    `channels` are the widest of a layer, `se_size` the side of the map that is squeezed.
    """
    match layer:
        case Conv(in_shape=(inputs, _, _), out_shape=(outputs, _, _), kernel=kernel):
            return {"kernel": kernel, "channels": max(inputs, outputs)}
        case Squeeze(shape=(_, height, _), channels=inner):
            return {"se_channels": inner, "se_size": height}
        case Linear(in_features=inputs):
            return {"channels": inputs}
        case Pool():
            return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpModel:
    """Coefficients of the counts, and the range of the layers they were fitted on.

    `coefficients` are nanoseconds per count, >= 0; `assumed` says why some were not measured.
    `ranges` and `resolution` are the least and largest measured values, of `EXTENTS` and of inputs.
    """

    coefficients: Mapping[str, Coefficient]
    assumed: Mapping[str, str]
    ranges: Mapping[str, tuple[int, int]]
    resolution: tuple[int, int]

    def __post_init__(self) -> None:
        known = {"coefficients": (*COUNTS, *FINER), "assumed": COUNTS, "ranges": EXTENTS}
        for key, names in known.items():
            for name in set(getattr(self, key)) - set(names):
                raise BadValue(str(unknown("key", name, names)), key, name)
        if missing := [name for name in EXTENTS if name not in self.ranges]:
            raise BadValue(f"missing {', '.join(missing)}", "ranges", missing[0])
        for name, (least, largest) in self.ranges.items():
            if least > largest:
                raise BadValue(f"{name} must be the least value and the largest", "ranges", name)
        if self.resolution[0] > self.resolution[1]:
            raise BadValue("resolution must be the least value and the largest", "resolution")

    def reasons(self, unit: Unit) -> tuple[str, ...]:
        """Name, once each, what in `unit` was not measured."""
        return tuple(dict.fromkeys(self._reasons(unit)))

    def beyond(self, unit: Unit) -> tuple[str, ...]:
        """Name, once each, the operators of `unit` that lie outside of the measured range."""
        return tuple(dict.fromkeys(self._beyond(unit)))

    def _reasons(self, unit: Unit) -> Iterator[str]:
        for name in counts_of(unit):
            if name in self.assumed:
                yield f"{name} {self.assumed[name]}"
        yield from self._beyond(unit)

    def _beyond(self, unit: Unit) -> Iterator[str]:
        for layer in unit.layers:
            for name, value in extents(layer).items():
                low, high = self.ranges[name]
                if not low <= value <= high:
                    side, bound = ("below", low) if value < low else ("above", high)
                    yield f"{_WORDS[name]} {side} the measured {bound}"
            if isinstance(layer, Conv):
                yield from _odd_conv(layer)
        if unit.shortcut == "pool":
            yield "pooled shortcuts (never measured; counted as 3x3 depthwise convolutions)"

    def resolution_reasons(self, resolution: int) -> tuple[str, ...]:
        """Name an input of `resolution` pixels that lies outside of the measured range."""
        low, high = self.resolution
        if low <= resolution <= high:
            return ()
        return (f"resolution {resolution} (measured: {low} to {high})",)


_WORDS = {
    "kernel": "kernel size",
    "channels": "channels",
    "se_channels": "squeeze-and-excitation channels",
    "se_size": "squeeze-and-excitation map size",
}


def _odd_conv(layer: Conv) -> Iterator[str]:
    """Name convolutions that are neither pointwise, nor depthwise, nor a stem."""
    inputs = layer.in_shape[0]
    if layer.groups == inputs > 1:
        return
    if layer.groups > 1:
        yield f"convolutions in {layer.groups} groups (never measured)"
    elif layer.kernel > 1 and inputs > 3:
        yield "full convolutions behind the stem (never measured)"
