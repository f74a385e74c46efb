"""The torch module of a supernet: it computes what any network of its space does."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F  # the name every torch program uses
from torch import Tensor, nn

from nas.models.build import (
    ACTIVATIONS,
    ConvNorm,
    FullyConnected,
    SqueezeExcite,
    drop_connect_rates,
    drop_samples,
    initialise,
)
from nas.models.small_maps import conv2d
from nas.network.blocks import Architecture
from nas.network.layers import Conv, Layer, Linear, Squeeze, Unit
from nas.network.lowering import lower
from nas.supernet.layers import Shared, Weighted, key_of
from nas.supernet.slicing import TRANSFORM, sliced

_ACTIVATIONS: Mapping[str, nn.Module] = {name: make() for name, make in ACTIVATIONS.items()}


class SharedNetwork(nn.Module):
    """The shared layers of a space, by their names, and the networks that they form.

    In training mode every batch is normalised by its own statistics; only a network that `leads`,
    the largest, has dropout and drop-connect, and changes the running statistics.
    """

    def __init__(self, layers: Mapping[str, Shared], *, transforms: bool) -> None:
        """Make the `layers`, with matrices between sizes of kernels if `transforms`."""
        super().__init__()
        for key, shared in layers.items():
            module = _module(shared.layer)
            for size in shared.kernels[1:] if transforms else ():
                identity = nn.Parameter(torch.eye(size * size))
                module.register_parameter(f"{TRANSFORM}{size}", identity)
            _put(self, key, module)

    def forward(self, images: Tensor, arch: Architecture, *, leads: bool = False) -> Tensor:
        """Map images (batch, channels, height, width) to the logits of the network `arch`."""
        units = lower(arch)
        x = images
        for unit, rate in zip(units, drop_connect_rates(arch), strict=True):
            x = self._unit(unit, x, leads, rate)
            if unit is units[-2] and leads:
                x = F.dropout(x, arch.dropout, self.training)
        return x.flatten(1)

    def _unit(self, unit: Unit, x: Tensor, leads: bool, rate: float) -> Tensor:
        branch = x
        for layer in unit.layers:
            branch = self._layer(unit, layer, branch, leads)
        if unit.shortcut == "none":
            return branch
        if self.training and leads:
            branch = drop_samples(branch, rate)
        if unit.shortcut == "pool":
            x = F.avg_pool2d(x, 3, unit.block.stride, padding=1, count_include_pad=False)
        return x + branch

    def _layer(self, unit: Unit, layer: Layer, x: Tensor, leads: bool) -> Tensor:
        if not isinstance(layer, Conv | Squeeze | Linear):
            return F.adaptive_avg_pool2d(x, 1)
        module = self.get_submodule(key_of(unit, layer))
        own = sliced(layer, partial(_find, module))
        match layer:
            case Conv():
                return self._conv(layer, own, x, cast(ConvNorm, module) if leads else None)
            case Squeeze():
                return _squeeze(layer, own, x)
            case Linear():
                x = _ACTIVATIONS[layer.act](F.linear(x.flatten(1), own["weight"], own["bias"]))
                return x[:, :, None, None]

    def _conv(
        self, layer: Conv, own: Mapping[str, Tensor], x: Tensor, leading: ConvNorm | None
    ) -> Tensor:
        x = conv2d(x, own["weight"], None, layer.stride, layer.pad, layer.groups)
        tracks = leading is not None or not self.training
        momentum = cast(nn.BatchNorm2d, leading.norm).momentum if leading else None
        x = F.batch_norm(
            x,
            own["norm.running_mean"] if tracks else None,
            own["norm.running_var"] if tracks else None,
            own["norm.weight"],
            own["norm.bias"],
            training=self.training,
            momentum=momentum or 0.0,
            eps=layer.epsilon,
        )
        result: Tensor = _ACTIVATIONS[layer.act](x)
        return result


def build_shared(layers: Mapping[str, Shared], *, transforms: bool, seed: int) -> SharedNetwork:
    """Return a supernet on the CPU, in training mode, freshly initialised."""
    network = SharedNetwork(layers, transforms=transforms)
    initialise(network, seed=seed)
    return network


@torch.no_grad()
def zero_init_branches(network: SharedNetwork, units: Iterable[Unit]) -> None:
    """Let residual branches of these `units` add nothing at first: their last scale is 0."""
    for unit in units:
        norm = cast(ConvNorm, network.get_submodule(key_of(unit, unit.layers[-1]))).norm
        cast(nn.BatchNorm2d, norm).weight.zero_()


def _squeeze(layer: Squeeze, own: Mapping[str, Tensor], x: Tensor) -> Tensor:
    pooled = F.adaptive_avg_pool2d(x, 1)
    reduced = conv2d(pooled, own["reduce.weight"], own["reduce.bias"], 1, 0, 1)
    squeezed = _ACTIVATIONS[layer.act](reduced)
    expanded = conv2d(squeezed, own["expand.weight"], own["expand.bias"], 1, 0, 1)
    gate = _ACTIVATIONS[layer.gate](expanded)
    return x * cast(Tensor, gate)


def _find(module: nn.Module, part: str) -> Any:
    """Return the parameter or buffer of a module by its name, None where it has none."""
    found: Any = module
    for name in part.split("."):
        found = getattr(found, name, None)
    return found


def _module(layer: Weighted) -> nn.Module:
    match layer:
        case Conv():
            return ConvNorm(layer)
        case Squeeze():
            return SqueezeExcite(layer)
        case Linear():
            return FullyConnected(layer, 0.0)


def _put(root: nn.Module, key: str, module: nn.Module) -> None:
    """Add a module under a name with dots."""
    *parts, last = key.split(".")
    for part in parts:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)
