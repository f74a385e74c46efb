"""The torch model of an architecture in int8, which rounds like the graph of `to_qdq`.

Its operators come from the same walk as those of the graph, with the same names, so that every
value is rounded where the graph rounds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # the customary name
from torch import Tensor, nn

from nas.exporting.int8.ranges import CUT, QuantizationGrid, for_hard
from nas.exporting.walk import INPUT, OUTPUT, walk, walk_detector
from nas.models.build import ACTIVATIONS, ConvNorm, Network, drop_samples
from nas.models.fake_quantize import rounded, rounded_bias, rounded_weight
from nas.models.graph import predictions_of
from nas.models.moving import move
from nas.network.blocks import Architecture
from nas.network.layers import Add, Concat, Conv, Linear, MaxPool, Shuffle, Split, Upsample
from nas.network.lowering import lower
from nas.network.weights import join

Ranges = Mapping[str, tuple[float, float]]
"""The range (least, largest) of each rounded value, by its name in the ONNX graph."""
_HARD = ("hswish", "hsigmoid")
_LEAST = 1e-6


class QuantizedNetwork(nn.Module):
    """A network whose weights and values are rounded as in its int8 graph.

    It shares the weights of the given network, and their names. Batch normalisation is folded into
    convolutions with the network's present statistics, which do not change (static folding: Nagel
    et al., 2021, section 5.2). `ranges`, of shape (values, 2), are learned: the logarithms of the
    extents below and above 0.
    """

    def __init__(self, network: Network, arch: Architecture, ranges: Ranges) -> None:
        """Quantize `network`, the model of `arch`."""
        super().__init__()
        self.stem, self.stages, self.head = network.stem, network.stages, network.head
        self.detector = arch.detector
        self.values = tuple(ranges)
        ends = torch.tensor([(-low, high) for low, high in ranges.values()], dtype=torch.float32)
        self.ranges = nn.Parameter(ends.clamp(min=_LEAST).log())
        self._units = lower(arch)
        last = self._units[-1]
        self._named = {OUTPUT: join(last.name, last.layers[-1].name)}

    def forward(self, images: Tensor) -> Any:
        """Map images (batch, channels, height, width) to the outputs of the float network."""
        with torch.autocast(images.device.type, enabled=False):
            writer = _Rounding(self, self._named)
            start = writer.value(images.float(), INPUT)
            if self.detector is not None:
                ends = walk_detector(self._units, writer, start, self.detector)
                return tuple(end.tensor for end in ends)
            (end,) = walk(self._units, writer, start)
            return end.tensor


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the network, its name in the graph, and the scale of its bytes if quantized."""

    tensor: Tensor
    name: str
    scale: float | None = None


class _Rounding:
    """A writer for `walk` that computes on tensors, and rounds values that have a range."""

    def __init__(self, network: QuantizedNetwork, named: Mapping[str, str]) -> None:
        """Compute with the weights of `network`; `named` gives other names of some values."""
        self.network = network
        logarithms = network.ranges.double()
        ends = torch.stack([-logarithms[:, 0].exp(), logarithms[:, 1].exp()], 1)
        names = [named.get(name, name) for name in network.values]
        self.ends = dict(zip(names, ends.float().unbind(), strict=True))
        self.plain = dict(zip(names, ends.detach().cpu().tolist(), strict=True))

    def value(self, x: Tensor, name: str, act: str = "none") -> Value:
        """Return `x`, rounded if it has a range; `act` is the activation that reads it."""
        if name not in self.ends:
            return Value(x, name)
        ends, grid = self.ends[name], QuantizationGrid.of(*self.plain[name])
        if act in _HARD:
            grid = for_hard(grid)
            ends = torch.stack([ends[0].clamp(max=-CUT), ends[1].clamp(min=CUT)])
        return Value(rounded(x, ends, grid), name, grid.scale)

    def act(self, act: str, x: Tensor, name: str) -> Value:
        """Return the rounded activation `act` of the rounded `x`."""
        value = self.value(x, name, act)
        output = f"{name}.{act}"
        match act:
            case "none":
                return value
            case "swish":
                gate = self.act("sigmoid", value.tensor, name)
                return self.value(value.tensor * gate.tensor, output)
            case "hsigmoid":
                scale = None if value.scale is None else value.scale / (2 * CUT)
                return Value(F.hardsigmoid(value.tensor), output, scale)
        return self.value(ACTIVATIONS[act]()(value.tensor), output)

    def moved(self, x: Value, tensor: Tensor, name: str) -> Value:
        """Return the result of an operator that only moves the numbers of `x`."""
        return Value(tensor, name, x.scale)

    def flat(self, x: Value, name: str) -> Value:
        return x if x.tensor.ndim == 2 else self.moved(x, x.tensor.flatten(1), name)

    def maps(self, x: Value, name: str) -> Value:
        return x if x.tensor.ndim == 4 else self.moved(x, x.tensor[:, :, None, None], name)

    def conv(self, x: Value, name: str, layer: Conv) -> Value:
        module = self.network.get_submodule(name)
        assert isinstance(module, nn.Conv2d)  # the walk names no other modules
        weight, bias = _rounded_layer(*_folded(module), x.scale)
        given = module.padded(x.tensor) if isinstance(module, ConvNorm) else x.tensor
        y = F.conv2d(given, weight, bias, module.stride, module.padding, 1, module.groups)
        return self.act(layer.act, y, name)

    def linear(self, x: Value, name: str, layer: Linear) -> Value:
        module: Any = self.network.get_submodule(name)
        weight, bias = _rounded_layer(module.weight, module.bias, x.scale)
        return self.act(layer.act, F.linear(module.dropout(x.tensor), weight, bias), name)

    def mean(self, x: Value, name: str) -> Value:
        return self.value(x.tensor.mean((2, 3), keepdim=True), name)

    def average(self, x: Value, name: str, stride: int) -> Value:
        pooled = F.avg_pool2d(x.tensor, 3, stride, padding=1, count_include_pad=False)
        return self.value(pooled, name)

    def plus(self, x: Value, y: Value, name: str) -> Value:
        unit: Any = self.network.get_submodule(name.rpartition(".")[0])
        branch = y.tensor
        if self.network.training:
            branch = drop_samples(branch, unit.drop_connect)
        return self.value(x.tensor + branch, name)

    def times(self, x: Value, gate: Value, name: str) -> Value:
        return self.value(x.tensor * gate.tensor, name)

    def concat(self, maps: Sequence[Value], name: str, layer: Concat) -> Value:
        return self.stack(maps, name)

    def total(self, maps: Sequence[Value], name: str, layer: Add) -> Value:
        value, rest = maps[0], maps[1:]
        if not rest:
            return self.act(layer.act, value.tensor, value.name)
        for number, more in enumerate(rest, 1):
            label = name if number == 1 else f"{name}.{number}"
            act = layer.act if number == len(rest) else "none"
            value = self.act(act, value.tensor + more.tensor, label)
        return value

    def upsample(self, x: Value, name: str, layer: Upsample) -> Value:
        return self.moved(x, move(layer, x.tensor), name)

    def maxpool(self, x: Value, name: str, layer: MaxPool) -> Value:
        return self.moved(x, move(layer, x.tensor), name)

    def split(self, x: Value, name: str, layer: Split) -> Value:
        return self.moved(x, move(layer, x.tensor), name)

    def shuffle(self, x: Value, name: str, layer: Shuffle) -> Value:
        return self.moved(x, move(layer, x.tensor), name)

    def predictions(self, x: Value, name: str, numbers: int) -> Value:
        return self.moved(x, predictions_of(x.tensor, numbers), name)

    def stack(self, values: Sequence[Value], name: str) -> Value:
        return self.value(torch.cat([value.tensor for value in values], 1), name)


def _folded(module: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a convolution, with its normalisation, if any, folded in."""
    norm = getattr(module, "norm", None)
    if not isinstance(norm, nn.BatchNorm2d):
        assert module.bias is not None  # there is no normalisation
        return module.weight, module.bias
    assert norm.running_mean is not None  # statistics are kept
    assert norm.running_var is not None
    factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return module.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor


def _rounded_layer(weight: Tensor, bias: Tensor, scale: float | None) -> tuple[Tensor, Tensor]:
    """Return the rounded weight and bias of a layer whose input has bytes of `scale`."""
    if scale is None:
        return weight, bias
    weight, scales = rounded_weight(weight)
    return weight, rounded_bias(bias, scales * scale)
