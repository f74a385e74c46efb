"""Convolutions whose training is fast on small maps, on the CPU.

oneDNN, which torch uses on x86, is slow at the gradient of depthwise weights where the output is
narrower than the kernel, as of 5x5 kernels on a 4x4 map; it is taken by a convolution instead. A
depthwise output of one pixel is a weighted sum, and a pointwise one a product of matrices, as in
squeeze-and-excitation. tests/bench/small_maps.py prints the ratios.
"""

from typing import Any

import torch
import torch.nn.functional as F  # the customary name
from torch import Tensor
from torch.nn.grad import conv2d_input

_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
) -> Tensor:
    """Return `torch.nn.functional.conv2d` of the same, with the same gradients up to rounding.

    Shapes are (batch, channels, height, width), and of `weight`
    (channels, channels in a group, kernel, kernel).
    """
    trains = torch.is_grad_enabled() and weight.requires_grad  # in this order, for symbols
    if trains and _is_by_onednn(x, weight):
        if padding == 0 and x.shape[1:] == weight.shape[1:]:
            return F.linear(x.flatten(1), weight.flatten(1), bias)[..., None, None]
        if bias is None and groups == x.shape[1] == weight.shape[0]:
            return _depthwise(x, weight, stride, padding)
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


def _is_by_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch would take a convolution by oneDNN, in single precision."""
    return (
        len(x) > 0
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and _HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
    )


def _depthwise(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    kernel = weight.shape[-1]
    sides = [(side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]]
    if sides == [1, 1]:
        return _pixel(x, weight, padding)
    if 1 <= min(sides) <= max(sides) < kernel:
        found: Tensor = _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]  # torch's
        return found
    return F.conv2d(x, weight, None, stride, padding, 1, len(weight))


def _pixel(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Return a depthwise convolution whose output has one pixel: maps weighted and summed."""
    kernel = weight.shape[-1]
    rows, columns = (min(side, kernel - padding) for side in x.shape[2:])  # what the kernel covers
    part = weight[:, 0, padding : padding + rows, padding : padding + columns]
    return (x[..., :rows, :columns] * part).sum((2, 3), keepdim=True)


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution that takes the gradient of its weights by a convolution."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x = None
        if ctx.needs_input_grad[0]:
            options = {"stride": ctx.stride, "padding": ctx.padding, "groups": len(weight)}
            of_x = conv2d_input(x.shape, weight, gradient, **options)  # type: ignore[no-untyped-call]  # torch's
        return of_x, _of_weight(x, gradient, weight, ctx.stride, ctx.padding), None, None


def _of_weight(x: Tensor, gradient: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the gradient of `weight`: each map of `x` convolved with that of its output."""
    batch, channels, height, width = x.shape
    kernel, count = weight.shape[-1], batch * channels
    maps = x.permute(2, 3, 0, 1).reshape(1, height, width, count).permute(0, 3, 1, 2)
    filters = gradient.reshape(count, 1, *gradient.shape[2:])
    found = F.conv2d(maps, filters, None, 1, padding, stride, count)[..., :kernel, :kernel]
    return found.reshape(batch, channels, kernel, kernel).sum(0)[:, None]
