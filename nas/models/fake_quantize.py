"""Round values, weights and biases as int8 graphs do, with gradients for training."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from nas.exporting.int8.ranges import STEPS, QuantizationGrid

_MOST = 127
_MIN_SCALE = 1e-9


def rounded(x: Tensor, ends: Tensor, grid: QuantizationGrid) -> Tensor:
    """Return `x` rounded to the bytes of `grid`, whose range is `ends[0]` to `ends[1]`.

    The gradient passes straight through rounding, and is 0 for clipped values (Bengio et al.,
    2013); `ends` get the gradient of learned step size quantization (Esser et al., 2020), for an
    asymmetric range (Bhalgat et al., 2020).
    """
    result: Tensor = _Rounded.apply(x, ends, grid)  # type: ignore[no-untyped-call]  # torch's
    return result


class _Rounded(Function):
    """The function behind `rounded`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ends: Tensor, grid: QuantizationGrid) -> Tensor:
        """Round."""
        result = torch.fake_quantize_per_tensor_affine(x, grid.scale, grid.zero_point, 0, STEPS)
        ctx.grid = grid
        ctx.save_for_backward(x, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of values and ends."""
        (gradient,), (x, result) = gradients, ctx.saved_tensors
        low, high = ctx.grid.range
        half = ctx.grid.scale / 2
        below, above = x < low - half, x > high + half
        inside = gradient.masked_fill(below | above, 0)
        stretch = (inside * (result - x)).sum() / (high - low)
        ends = torch.stack([(gradient * below).sum() - stretch, (gradient * above).sum() + stretch])
        return inside, ends / (x.numel() * STEPS) ** 0.5, None


def rounded_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return `weight` rounded to signed bytes with a scale per output channel, and the scales."""
    peaks = weight.detach().flatten(1).abs().amax(1)
    scales = (peaks / _MOST).clamp(min=_MIN_SCALE)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    result = torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -_MOST, _MOST)
    return result, scales


def rounded_bias(bias: Tensor, scales: Tensor) -> Tensor:
    """Return `bias` rounded to multiples of `scales`."""
    return bias + ((bias / scales).round() * scales - bias).detach()
