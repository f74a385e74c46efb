"""Inherit weights from a related trained network: for a found, pruned, wider or deeper one.

Whatever fits is inherited: blocks by their place, channels by their importance, the centre of
kernels. A larger network computes the same as the trained one at first, as in Net2Net (Chen et al.,
2016): channels are duplicated and their readers' weights halved, larger kernels get a border of
zeros, and additional layers add nothing yet. A smaller network keeps the channels of largest L1
norm (Li et al., 2017), as the sub-networks of Once-for-All do (Cai et al., 2020). Without torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2, prod

import numpy as np
from numpy.typing import NDArray

from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Squeeze, Unit
from nas.network.lowering import lower
from nas.network.weights import Array, Weights, check_weights, join

Channels = NDArray[np.int64]
"""For every channel, the index of the channel in the trained network."""
Importance = NDArray[np.float64]

_NORM = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
_OPEN_GATE = 3.0
"""A bias that opens a gate: a hard sigmoid of 3 is 1, a sigmoid 0.95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """Weights for a network, and the fraction of its parameters that were inherited."""

    weights: Weights
    share: float


def inherit(
    trained: Architecture,
    weights: Weights,
    arch: Architecture,
    *,
    fresh: Weights,
    classifier: bool = True,
) -> Inherited:
    """Return weights for `arch`, inherited from the network `trained` with its `weights`.

    Blocks are matched stage by stage if the stages of both networks have the same strides, else by
    their place between two strides. `fresh`, the initial weights of `arch`, are used for whatever
    has no match, and for the classifier if its classes differ or `classifier` is False.

    Raises:
        NasError: if weights do not fit their architecture.
    """
    old, new = lower(trained), lower(arch)
    check_weights(old, weights)
    check_weights(new, fresh)
    transfer = _WeightTransfer(old, weights, fresh, classifier=classifier)
    matches = _matches(old, new)
    for unit in new:
        transfer.add_unit(unit, matches.get(unit.name))
    check_weights(new, transfer.made)
    whole = sum(np.size(value) for value in transfer.made.values())
    return Inherited(weights=transfer.made, share=transfer.taken / whole)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stream:
    """The channels between two layers, as indices of `width` channels of the trained network."""

    channels: Channels
    width: int

    @property
    def shares(self) -> Array:
        """The weight of each channel for its readers: less than 1 if it is duplicated."""
        counts = np.bincount(self.channels, minlength=self.width)
        return (1 / counts[self.channels]).astype(np.float32)

    def among(self, width: int) -> "_Stream":
        """Return the same, or the leading channels if the trained layer has another width."""
        if width == self.width:
            return self
        return _Stream(channels=np.arange(len(self.channels)) % width, width=width)


def _fresh(width: int) -> _Stream:
    return _Stream(channels=np.arange(width), width=width)


def _chosen(width: int, importance: Importance) -> _Stream:
    """Return the `width` most important channels, in ascending order.

    Ties go to the first ones. If there are fewer than `width`, the most important are repeated.
    """
    count = len(importance)
    order = np.argsort(-importance, kind="stable")
    more = order[np.arange(max(width - count, 0)) % count]
    return _Stream(channels=np.concatenate([np.sort(order[:width]), more]), width=count)


class _WeightTransfer:
    """Inherits the weights of one unit after the other."""

    def __init__(
        self, old: Sequence[Unit], weights: Weights, fresh: Weights, *, classifier: bool
    ) -> None:
        """Begin before the first unit."""
        self._classifier = classifier
        self.weights, self.fresh = weights, fresh
        self.made: dict[str, Array] = {}
        self.taken = 0
        self._now = _fresh(old[0].in_shape[0])
        self._importance = _importance_of_streams(old, weights)

    def add_unit(self, unit: Unit, source: "_Source | None") -> None:
        """Inherit the weights of `unit` from its source."""
        before = self._now
        known = {layer.name: layer for layer in source.unit.layers} if source else {}
        for layer in unit.layers:
            name, old = join(unit.name, layer.name), known.get(layer.name)
            self.made |= {k: v for k, v in self.fresh.items() if k.startswith(f"{name}.")}
            if source is None or type(old) is not type(layer):
                self._now = self._without(layer, name)
                continue
            adds = unit.shortcut != "none" and layer is unit.layers[-1]
            own = join(source.unit.name, layer.name)
            self._now = self._with(layer, old, name, own, before if adds else None)
        if unit.shortcut != "none" and (source is None or source.again):
            self._zero_init(join(unit.name, unit.layers[-1].name))
            self._now = before

    def _without(self, layer: Layer, name: str) -> _Stream:
        """Keep the initial weights of a layer; the gate of a squeeze-and-excitation is opened."""
        match layer:
            case Squeeze():
                self.made[f"{name}.expand.weight"] = 0 * self.fresh[f"{name}.expand.weight"]
                self.made[f"{name}.expand.bias"] = (
                    0 * self.fresh[f"{name}.expand.bias"] + _OPEN_GATE
                )
            case Conv(depthwise=False, out_shape=(width, _, _)) | Linear(out_features=width):
                return _fresh(width)
        return self._now

    def _with(
        self, layer: Layer, old: Layer | None, name: str, own: str, adds: _Stream | None
    ) -> _Stream:
        """Inherit the layer `name` from `old`, called `own`; return its output channels."""
        match layer, old:
            case Conv(depthwise=True), Conv(in_shape=(width, _, _)):
                stream = self._now.among(width)
                self._put(
                    f"{name}.weight",
                    _centred(self._of(own, "weight")[stream.channels], layer.kernel),
                )
                self._norm(name, own, stream)
                return stream
            case Conv(), Conv(in_shape=(width, _, _)):
                reads, weight = self._now.among(width), self._of(own, "weight")
                gives = self._gives(layer.out_shape[0], own, weight, adds)
                taken = weight[gives.channels][:, reads.channels] * reads.shares[:, None, None]
                self._put(f"{name}.weight", _centred(taken, layer.kernel))
                self._norm(name, own, gives)
                return gives
            case Squeeze(), Squeeze(shape=(width, _, _)):
                stream = self._now.among(width)
                self._squeeze(layer.channels, name, own, stream)
                return stream
            case Linear(), Linear(in_features=width):
                return self._linear(layer, name, own, self._now.among(width))
        return self._now

    def _gives(self, width: int, own: str, weight: Array, adds: _Stream | None) -> _Stream:
        """Return the output channels of a convolution."""
        if adds is not None:
            return adds.among(len(weight))
        return _chosen(width, self._importance.get(own, _l1(weight)))

    def _norm(self, name: str, own: str, stream: _Stream) -> None:
        for part in _NORM:
            self._put(f"{name}.{part}", self._of(own, part)[stream.channels])

    def _squeeze(self, channels: int, name: str, own: str, stream: _Stream) -> None:
        reduce, expand = self._of(own, "reduce.weight"), self._of(own, "expand.weight")
        inner = _chosen(channels, _l1(reduce))
        shares = stream.shares[:, None, None]
        self._put(f"{name}.reduce.weight", reduce[inner.channels][:, stream.channels] * shares)
        self._put(f"{name}.reduce.bias", self._of(own, "reduce.bias")[inner.channels])
        shares = inner.shares[:, None, None]
        self._put(f"{name}.expand.weight", expand[stream.channels][:, inner.channels] * shares)
        self._put(f"{name}.expand.bias", self._of(own, "expand.bias")[stream.channels])

    def _linear(self, layer: Linear, name: str, own: str, reads: _Stream) -> _Stream:
        """Inherit a linear layer; one without activation is the classifier."""
        weight, bias = self._of(own, "weight"), self._of(own, "bias")
        if layer.act != "none":
            gives = _chosen(layer.out_features, _l1(weight))
        elif self._classifier and layer.out_features == len(weight):
            gives = _fresh(len(weight))
        else:
            return _fresh(layer.out_features)
        self._put(f"{name}.weight", weight[gives.channels][:, reads.channels] * reads.shares)
        self._put(f"{name}.bias", bias[gives.channels])
        return gives

    def _zero_init(self, name: str) -> None:
        """Make the last layer of a block add nothing to its shortcut."""
        for part in ("norm.weight", "norm.bias"):
            self.made[f"{name}.{part}"] = 0 * self.made[f"{name}.{part}"]

    def _of(self, own: str, part: str) -> Array:
        return self.weights[f"{own}.{part}"]

    def _put(self, name: str, value: Array) -> None:
        self.made[name] = np.ascontiguousarray(value, np.float32)
        self.taken += value.size


def _centred(weight: Array, kernel: int) -> Array:
    """Return kernels cropped to their centre, or padded with zeros, to the size `kernel`."""
    border = (kernel - weight.shape[-1]) // 2
    if border >= 0:
        return np.pad(weight, ((0, 0), (0, 0), (border, border), (border, border)))
    return weight[:, :, -border:border, -border:border]


def _l1(weight: Array) -> Importance:
    """Return the L1 norm of the filter of every output channel."""
    found: Importance = np.abs(weight, dtype=np.float64).reshape(len(weight), -1).sum(axis=1)
    return found


def _importance_of_streams(units: Sequence[Unit], weights: Weights) -> Mapping[str, Importance]:
    """Return the importance of a block's output channels, by the name of its last convolution.

    Blocks that add to the same channels are summed up.
    """
    sums: dict[str, Importance] = {}
    names: list[str] = []
    for unit in units:
        name = join(unit.name, unit.layers[-1].name)
        if not isinstance(unit.layers[-1], Conv):
            continue
        names = [*names, name] if unit.shortcut != "none" else [name]
        whole = _l1(weights[f"{name}.weight"]) + (sums[names[0]] if len(names) > 1 else 0.0)
        sums |= dict.fromkeys(names, whole)
    return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The trained unit from which a unit inherits; with `again`, another inherited it before."""

    unit: Unit
    again: bool = False


def _matches(old: Sequence[Unit], new: Sequence[Unit]) -> Mapping[str, _Source]:
    """Return the sources of the units of `new` that have one, by the units' names."""
    ours, theirs = _stages(new), _stages(old)
    if [_strides(s) for s in ours] != [_strides(s) for s in theirs]:
        ours, theirs = _levels(new), _levels(old)
    found = {
        unit.name: source
        for mine, other in zip(ours, theirs, strict=False)
        for unit, source in _paired(mine, other)
    }
    for place, sign in (("stem", 1), ("head", -1)):
        for kind in {unit.block.kind for unit in new}:
            mine, other = (
                [u for u in units if u.name.startswith(place) and u.block.kind == kind][::sign]
                for units in (new, old)
            )
            found |= {a.name: _Source(unit=b) for a, b in zip(mine, other, strict=False)}
    return found


def _paired(new: Sequence[Unit], old: Sequence[Unit]) -> Iterator[tuple[Unit, _Source]]:
    """Yield units with their sources, in order; further ones get the last with a shortcut."""
    adding = [unit for unit in old if unit.shortcut != "none"]
    for number, unit in enumerate(new):
        if number < len(old):
            yield unit, _Source(unit=old[number])
        elif adding and unit.shortcut != "none":
            yield unit, _Source(unit=adding[-1], again=True)


def _stages(units: Sequence[Unit]) -> list[list[Unit]]:
    """Return the units of the stages, stage by stage."""
    found: dict[str, list[Unit]] = {}
    for unit in units:
        place, _, rest = unit.name.partition(".")
        if place == "stages":
            found.setdefault(rest.partition(".")[0], []).append(unit)
    return list(found.values())


def _levels(units: Sequence[Unit]) -> list[list[Unit]]:
    """Return the units of the stages, grouped by the total stride of their outputs."""
    found: dict[int, list[Unit]] = {}
    smaller = prod(unit.block.stride for unit in units if unit.name.startswith("stem"))
    for unit in (unit for stage in _stages(units) for unit in stage):
        smaller *= unit.block.stride
        found.setdefault(round(log2(smaller)), []).append(unit)
    levels = range(max(found, default=0) + 1)
    return [found.get(level, []) for level in levels]


def _strides(stage: Sequence[Unit]) -> int:
    return prod(unit.block.stride for unit in stage)
