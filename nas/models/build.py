"""Build the torch model of an architecture from its lowered layers.

A new kind of block needs no change here. Weights are named after units and layers:
"stages.2.0.expand.weight", "stages.2.0.expand.norm.running_mean", "stages.2.0.squeeze.reduce.bias",
"head.2.linear.weight". `nas.exporting.onnx` writes the same network, with the same names, without
torch.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from math import sqrt
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # the customary name
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.models.graph import edges, joined_outputs, run_graph
from nas.models.moving import Moving
from nas.models.small_maps import conv2d
from nas.network.blocks import IMAGE, Architecture
from nas.network.layers import Add, Conv, Layer, Linear, Pool, Squeeze, Unit
from nas.network.lowering import lower

NORM_MOMENTUM = 0.01
"""The weight of a new batch in the running statistics: a decay of 0.99, as for MnasNet, MobileNetV3
and EfficientNet (MobileNetV1 was trained with 0.9997)."""

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "swish": nn.SiLU,
    "hswish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "hsigmoid": nn.Hardsigmoid,
}


class ConvNorm(nn.Conv2d):
    """A convolution, batch normalisation and an activation; `weight` is the convolution's.

    A layer without normalisation has a bias instead.
    """

    def __init__(self, layer: Conv) -> None:
        """Make the modules of `layer`."""
        self.pads = layer.padding == "same" and layer.stride > 1 and layer.kernel > 1
        super().__init__(
            layer.in_shape[0],
            layer.out_shape[0],
            layer.kernel,
            stride=layer.stride,
            padding=0 if self.pads else layer.pad,
            groups=layer.groups,
            bias=not layer.norm,
        )
        channels, epsilon = layer.out_shape[0], layer.epsilon
        norm = nn.BatchNorm2d(channels, eps=epsilon, momentum=NORM_MOMENTUM)
        self.norm = norm if layer.norm else nn.Identity()
        self.act = ACTIVATIONS[layer.act]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the layer's output shape."""
        stride, padding = self.stride[0], int(self.padding[0])
        x = conv2d(self.padded(x), self.weight, self.bias, stride, padding, self.groups)
        result: Tensor = self.act(self.norm(x))
        return result

    def padded(self, x: Tensor) -> Tensor:
        """Return `x` with TensorFlow's padding, if it is that of the layer."""
        if not self.pads:
            return x
        return F.pad(x, [side for axis in (3, 2) for side in self._padding(x.shape[axis])])

    def _padding(self, side: int) -> tuple[int, int]:
        """Return TensorFlow's padding before and after a map of `side` pixels."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        added = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return added // 2, added - added // 2


class _Pointwise(nn.Conv2d):
    """A 1x1 convolution of one pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, 1, 1) to the same of other channels."""
        return conv2d(x, self.weight, self.bias, 1, 0, 1)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: gates for all channels, computed from the means of all channels."""

    def __init__(self, layer: Squeeze) -> None:
        """Make the two 1x1 convolutions of `layer`."""
        super().__init__()
        channels = layer.shape[0]
        self.reduce = _Pointwise(channels, layer.channels, 1)
        self.act = ACTIVATIONS[layer.act]()
        self.expand = _Pointwise(layer.channels, channels, 1)
        self.gate = ACTIVATIONS[layer.gate]()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with every channel multiplied by its gate."""
        squeezed = self.act(self.reduce(F.adaptive_avg_pool2d(x, 1)))
        gate: Tensor = self.gate(self.expand(squeezed))
        return x * gate


class FullyConnected(nn.Linear):
    """Dropout, a linear layer and an activation, on (batch, channels, 1, 1)."""

    def __init__(self, layer: Linear, dropout: float) -> None:
        """Make the modules of `layer`; `dropout` is the rate on its input."""
        super().__init__(layer.in_features, layer.out_features)
        self.dropout = nn.Dropout(dropout)
        self.act = ACTIVATIONS[layer.act]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_features, 1, 1) to (batch, out_features, 1, 1)."""
        result: Tensor = self.act(super().forward(self.dropout(x.flatten(1))))
        return result[:, :, None, None]


class UnitModule(nn.Sequential):
    """The layers of one unit, with its shortcut."""

    def __init__(self, unit: Unit, *, dropout: float, drop_connect: float) -> None:
        """Make the layers of `unit`; both rates apply in training mode only."""
        super().__init__(
            OrderedDict((layer.name, _module(layer, dropout)) for layer in unit.layers)
        )
        self.shortcut = unit.shortcut
        self.stride = unit.block.stride
        self.drop_connect = drop_connect

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Map (batch, *unit.in_shape) to (batch, *unit.out_shape); `others` are joined with `x`."""
        first, *rest = self
        branch: Tensor = first(x, *others)
        for layer in rest:
            branch = layer(branch)
        if self.shortcut == "none":
            return branch
        if self.training:
            branch = drop_samples(branch, self.drop_connect)
        if self.shortcut == "pool":
            x = F.avg_pool2d(x, 3, self.stride, padding=1, count_include_pad=False)
        return x + branch


class Network(nn.Module):
    """The model of an architecture."""

    def __init__(self, arch: Architecture) -> None:
        """Make every unit of `arch`, with weights that are not yet initialised."""
        super().__init__()
        units = lower(arch)
        modules = iter(_unit_modules(arch, units))
        self.stem = nn.Sequential(*(next(modules) for _ in arch.stem))
        self.stages = nn.Sequential(
            *(nn.Sequential(*(next(modules) for _ in stage)) for stage in arch.stages)
        )
        self.head = nn.Sequential(*modules)
        self.detector = arch.detector
        self._edges = edges(units)
        self._outputs = tuple(arch.detector.outputs) if arch.detector else (units[-1].name,)
        self._is_chain = not any(unit.inputs for unit in units)

    def forward(self, images: Tensor) -> Any:
        """Map images (batch, channels, height, width) to logits (batch, classes).

        A network without pooling returns its feature maps, a detector its boxes and scores (see
        `nas.network.detector`).
        """
        if self.detector is not None:
            return joined_outputs(self.detector, self._maps(images))
        if self._is_chain:
            x: Tensor = self.head(self.stages(self.stem(images)))
        else:
            (x,) = self._maps(images).values()
        return x.flatten(1) if x.shape[2] == x.shape[3] == 1 else x

    def _maps(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the network, by the names of their units."""
        return run_graph(self._edges, tuple(self._units()), {IMAGE: images}, self._outputs)

    def _units(self) -> Iterator[nn.Module]:
        yield from self.stem
        for stage in self.stages:
            yield from cast(nn.Sequential, stage)
        yield from self.head


def build_model(arch: Architecture, *, seed: int = 0) -> Network:
    """Return the torch model of `arch` on the CPU, in training mode, freshly initialised.

    As in EfficientNet, weights of convolutions are drawn from a normal distribution of variance
    2 / fan-out (He et al., 2015; the fan-out of a depthwise convolution is that of one channel),
    those of linear layers uniformly within 1 / sqrt(outputs), and biases are 0. The same seed gives
    the same weights.

    Dropout is applied before the last linear layer. Drop-connect (stochastic depth, Huang et al.,
    2016) drops residual branches, per sample, at a rate that grows linearly with depth.
    """
    with torch.device("meta"):
        network = Network(arch)
    network.to_empty(device="cpu")
    initialise(network, seed=seed)
    return network


def initialise(model: nn.Module, *, seed: int) -> None:
    """Initialise every weight and running statistic of `model` in place, as in `build_model`."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        match module:
            case nn.Conv2d():
                fan_out = module.weight[:, 0].numel() // module.groups
                nn.init.normal_(module.weight, std=sqrt(2 / fan_out), generator=generator)
            case nn.Linear():
                bound = 1 / sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            case nn.BatchNorm2d():
                module.reset_parameters()
                continue
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def weights_of(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return copies of the weights and running statistics of `model`, for `nas.exporting`."""
    return {
        name: value.detach().cpu().numpy().astype(np.float32)
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def drop_samples(branch: Tensor, rate: float) -> Tensor:
    """Return `branch` with samples set to 0 at `rate`, and the others scaled by 1 / (1 - rate)."""
    if rate == 0:
        return branch
    keep = 1 - rate
    mask = branch.new_empty((branch.shape[0], 1, 1, 1)).bernoulli_(keep)
    return branch * mask / keep


def drop_connect_rates(arch: Architecture) -> tuple[float, ...]:
    """Return the rate at every block of `arch`: `drop_connect` times its depth in the stages.

    The depth of a block is the fraction of the stages' blocks that precede it, as in EfficientNet:
    0 for the stem and for the first block of the first stage.
    """
    body = sum(len(stage) for stage in arch.stages)
    first = len(arch.stem)
    count = first + body + len(arch.head)
    depths = (min(max(i - first, 0), body) / max(body, 1) for i in range(count))
    return tuple(arch.drop_connect * depth for depth in depths)


def _unit_modules(arch: Architecture, units: tuple[Unit, ...]) -> list[UnitModule]:
    rates = drop_connect_rates(arch)
    last = max((i for i, unit in enumerate(units) if _is_linear(unit)), default=-1)
    return [
        UnitModule(unit, dropout=arch.dropout if i == last else 0.0, drop_connect=rates[i])
        for i, unit in enumerate(units)
    ]


def _is_linear(unit: Unit) -> bool:
    return any(isinstance(layer, Linear) for layer in unit.layers)


def _module(layer: Layer, dropout: float) -> nn.Module:
    match layer:
        case Conv():
            return ConvNorm(layer)
        case Squeeze():
            return SqueezeExcite(layer)
        case Pool():
            return nn.AdaptiveAvgPool2d(1)
        case Linear():
            return FullyConnected(layer, dropout)
        case Add():
            return Moving(layer, ACTIVATIONS[layer.act]())
        case _:
            return Moving(layer)
