"""Predict latency from counts of operators: a linear model with coefficients >= 0, and a residual.

Each layer is described by a few counts (multiply-adds, elements read and written, weights), and the
latency of a unit is the sum of counts times coefficients, times a factor near 1 where similar units
were measured. The linear part can extrapolate, which trees fitted to the same data cannot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import fsum, prod
from typing import Any

from nas.core.errors import BadValue, unknown
from nas.core.schema import Coefficient
from nas.latency.residual import Residual, features
from nas.network.layers import (
    Add,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Pool,
    Shuffle,
    Split,
    Squeeze,
    Unit,
    Upsample,
)

_MS_PER_NS = 1e-6
CACHE_ELEMENTS = 250_000
"""Elements of 4 bytes in about 1 MB of cache; depthwise inputs beyond it come from memory."""

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
"""The counts of every model, in the order of the fit; see `counts`."""

FINER = (
    "layers",
    "spatial_macs",
    "odd_macs",
    "odd_depthwise_macs",
    "depthwise_reads",
    "depthwise_writes",
    "depthwise_strided",
    "depthwise_large",
    "squeezes",
    "clipped",
    "added",
    "pooled",
)
"""Further counts of a model, used if the measurements can separate them from `COUNTS`."""

EXTENTS = ("kernel", "channels", "se_channels", "se_size")
"""Quantities of a layer that have a measured range; see `extents`."""

_ACT_COUNTS = {
    "hswish": "hswish", "hsigmoid": "hswish", "swish": "swish", "sigmoid": "swish",
    "relu": "clipped", "relu6": "clipped",
}  # fmt: skip
_POOLED_SHORTCUT_KERNEL = 3
_EVEN = 4
_LARGEST_USUAL = 5
_IMAGE_CHANNELS = 3


def counts(layer: Layer, *, finer: bool = True) -> dict[str, int]:
    """Return the counts of `layer` by name; absent ones are 0.

    Without `finer`, some of `FINER` are absent.

    A convolution with M output pixels, K = kernel^2 * input channels per group and N output
    channels has M*K*N `conv_macs`, M*K `conv_reads`, M*N `conv_writes` and K*N `conv_weights`. A
    depthwise one has `depthwise_macs` and, as `depthwise_spill`, the input elements beyond
    `CACHE_ELEMENTS`. `linear_weights` are those of fully connected layers, including those in
    squeeze-and-excitation, whose pooled and rescaled elements are `se_elements`. `hswish` and
    `swish` are the elements passing these activations or their (hard) sigmoids.

    The finer counts: `layers` is 1 for each layer; `spatial_macs` are the `conv_macs` of kernels
    above 1; `odd_...` are multiply-adds between channels that are not a multiple of 4, for which
    many runtimes have slower kernels; `depthwise_strided` are those with a stride,
    `depthwise_large` those of kernels above 5, for which some have no fast ones; `squeezes` is 1
    for a squeeze-and-excitation; `clipped` are elements passing ReLU or ReLU6, `pooled` those of
    global pooling. `added` are elements that are added, or moved by concatenation, upsampling,
    splitting and shuffling. Max-pooling has `depthwise_macs`, as the most similar operator.
    """
    return {"layers": 1} | _counts(layer, finer)


def _counts(layer: Layer, finer: bool) -> dict[str, int]:
    match layer:
        case Conv():
            more = _finer_conv_counts(layer) if finer else {}
            return _conv_counts(layer) | more | _act_counts(layer.act, prod(layer.out_shape))
        case Squeeze(shape=shape, channels=inner):
            weights = 2 * shape[0] * inner
            return {"se_elements": prod(shape), "linear_weights": weights, "squeezes": 1}
        case Linear(in_features=inputs, out_features=outputs):
            return {"linear_weights": inputs * outputs} | _act_counts(layer.act, outputs)
        case Pool(in_shape=shape):
            return {"pooled": prod(shape)}
        case MaxPool(out_shape=shape, kernel=kernel):
            return {"depthwise_macs": prod(shape) * kernel**2}
        case Add(shape=shape, terms=terms):
            return {"added": (terms - 1) * prod(shape)} | _act_counts(layer.act, prod(shape))
        case Concat(out_shape=shape) | Upsample(out_shape=shape) | Split(out_shape=shape):
            return {"added": prod(shape)}
        case Shuffle(shape=shape):
            return {"added": prod(shape)}


def _conv_counts(layer: Conv) -> dict[str, int]:
    channels, pixels = layer.out_shape[0], layer.out_shape[1] * layer.out_shape[2]
    if layer.depthwise:
        spill = prod(layer.in_shape) - CACHE_ELEMENTS
        return {
            "depthwise_macs": pixels * channels * layer.kernel**2,
            "depthwise_spill": spill * (spill > 0),
        }
    taps = layer.in_shape[0] // layer.groups * layer.kernel**2
    return {
        "conv_macs": pixels * taps * channels,
        "conv_reads": pixels * taps * layer.groups,
        "conv_writes": pixels * channels,
        "conv_weights": taps * channels,
    }


def _finer_conv_counts(layer: Conv) -> dict[str, int]:
    channels, pixels = layer.out_shape[0], layer.out_shape[1] * layer.out_shape[2]
    if layer.depthwise:
        macs = pixels * channels * layer.kernel**2
        return {
            "odd_depthwise_macs": macs * (channels % _EVEN > 0),
            "depthwise_reads": prod(layer.in_shape),
            "depthwise_writes": pixels * channels,
            "depthwise_strided": macs * (layer.stride > 1),
            "depthwise_large": macs * (layer.kernel > _LARGEST_USUAL),
        }
    inputs = layer.in_shape[0]
    macs = pixels * (inputs // layer.groups * layer.kernel**2) * channels
    odd = (channels % _EVEN > 0) | ((inputs % _EVEN > 0) & (inputs != _IMAGE_CHANNELS))
    return {"spatial_macs": macs * (layer.kernel > 1), "odd_macs": macs * odd}


def _act_counts(act: str, elements: int) -> dict[str, int]:
    return {_ACT_COUNTS[act]: elements} if act in _ACT_COUNTS else {}


def counts_of(unit: Unit, *, finer: bool = True) -> dict[str, int]:
    """Return the summed counts of the layers of `unit`; for `finer` see `counts`.

    A pooled shortcut counts as a 3x3 depthwise convolution, the most similar operator.
    """
    total: dict[str, int] = {}
    for layer in unit.layers:
        for name, count in counts(layer, finer=finer).items():
            total[name] = total.get(name, 0) + count
    if unit.shortcut == "pool":
        macs = prod(unit.out_shape) * _POOLED_SHORTCUT_KERNEL**2
        total["depthwise_macs"] = total.get("depthwise_macs", 0) + macs
    if unit.shortcut != "none":
        total["added"] = total.get("added", 0) + prod(unit.out_shape)
    return total


def extents(layer: Layer) -> tuple[tuple[str, int], ...]:
    """Return the quantities of `layer` that have a measured range, with their names.

    `channels` are the input features of a linear layer, or the channels on the wider side of a
    convolution; `se_size` is the side of the map that is squeezed.
    """
    match layer:
        case Conv(in_shape=(inputs, _, _), out_shape=(outputs, _, _), kernel=kernel):
            wider = inputs + (outputs - inputs) * (outputs > inputs)
            return ("kernel", kernel), ("channels", wider)
        case Squeeze(shape=(_, height, _), channels=inner):
            return ("se_channels", inner), ("se_size", height)
        case Linear(in_features=inputs):
            return (("channels", inputs),)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpModel:
    """The coefficients of the counts, their residual, and the range of the layers fitted on.

    `coefficients` are nanoseconds per count, >= 0; `assumed` says why some were not measured.
    `ranges` and `resolution` are the least and largest measured values of `EXTENTS` and of the
    input's side.
    """

    coefficients: Mapping[str, Coefficient]
    assumed: Mapping[str, str]
    ranges: Mapping[str, tuple[int, int]]
    resolution: tuple[int, int]
    residual: Residual | None = None

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

    def parts_ms(self, unit: Unit) -> dict[str, float]:
        """Return the milliseconds of a unit by the name of each count; their sum is predicted.

        They are arrays for units of arrays (`nas.network.arrays.lower_arrays`).
        """
        counts = counts_of(unit, finer=not self.coefficients.keys().isdisjoint(FINER))
        factor: Any = self.residual.factor(features(unit)) if self.residual else 1.0
        coefficients = self.coefficients.items()
        return {n: factor * (_MS_PER_NS * ns * counts.get(n, 0)) for n, ns in coefficients}

    def ms(self, unit: Unit) -> float:
        """Return the predicted milliseconds of one unit."""
        return fsum(self.parts_ms(unit).values())

    def reasons(self, unit: Unit) -> tuple[str, ...]:
        """Return, once each, the reasons why `unit` is outside of the measurements."""
        assumed = [f"{n} {self.assumed[n]}" for n in counts_of(unit) if n in self.assumed]
        return tuple(dict.fromkeys([*assumed, *self.beyond(unit)]))

    def beyond(self, unit: Unit) -> tuple[str, ...]:
        """Return, once each, what in `unit` lies outside of the measured range."""
        return tuple(dict.fromkeys(name for is_so, name in self.outside(unit) if is_so))

    def outside(self, unit: Unit) -> Iterator[tuple[bool, str]]:
        """Yield, for each reason, whether `unit` lies outside of the measured range, and its text.

        For units of arrays (`nas.network.arrays.lower_arrays`) the first may be an array of bools.
        """
        for layer in unit.layers:
            for name, value in extents(layer):
                low, high = self.ranges[name]
                yield value < low, f"{_WORDS[name]} below the measured {low}"
                yield value > high, f"{_WORDS[name]} above the measured {high}"
            if isinstance(layer, Conv) and not layer.depthwise:
                full = (layer.kernel > 1) & (layer.in_shape[0] > _IMAGE_CHANNELS)
                yield full, "full convolutions after the stem (never measured)"
            moves = isinstance(layer, Add | Concat | MaxPool | Shuffle | Split | Upsample)
            yield moves, "joining, splitting, resizing, max-pooling (never measured; estimated)"
        pools = "pooled shortcuts (never measured; counted as 3x3 depthwise convolutions)"
        yield unit.shortcut == "pool", pools

    def resolution_reasons(self, resolution: int) -> tuple[str, ...]:
        """Return the reason, if any, why `resolution` lies outside of the measured range."""
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
