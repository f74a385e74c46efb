"""Convolutions whose training is fast on small maps, on the CPU.

oneDNN, which torch uses on x86, is slow at the gradient of depthwise weights where the output is
narrower than the kernel, as of 5x5 kernels on a 4x4 map. Taken by a convolution instead, depthwise
convolutions of 5x5 train 4 to 9 times as fast there, and MobileNetV3-Small on 64 px 1.7 times. An
output of one pixel is a weighted sum, which doubles the speed on 32 px (tests/bench/depthwise.py).
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
    trains = torch.is_grad_enabled() and bias is None  # first: symbols have no `requires_grad`
    if not (trains and weight.requires_grad and _is_slow(x, weight, stride, padding, groups)):
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)
    if max(_sides(x, weight, stride, padding)) == 1:
        return _pixel(x, weight, padding)
    found: Tensor = _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]  # torch's
    return found


def _is_slow(x: Tensor, weight: Tensor, stride: int, padding: int, groups: int) -> bool:
    """Return whether oneDNN is slow at the gradient of `weight`."""
    sides = _sides(x, weight, stride, padding)
    return (
        groups == x.shape[1] == weight.shape[0]
        and 1 <= min(sides) <= max(sides) < weight.shape[-1]
        and len(x) > 0
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and _HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
    )


def _sides(x: Tensor, weight: Tensor, stride: int, padding: int) -> list[int]:
    """Return the height and width of the output."""
    return [(side + 2 * padding - weight.shape[-1]) // stride + 1 for side in x.shape[2:]]


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
