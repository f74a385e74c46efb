"""Measure training steps with the gradient of depthwise weights on small maps, over torch's own.

python tests/bench/depthwise.py [--batch 64] [--resolution 64] [--rounds 7]

First the gradient alone, by kernel and map, with 240 channels; then whole steps of networks,
without an optimizer. Ratios are of processor time, on one thread, in turns. It asserts nothing.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch  # noqa: TID253  # a benchmark of torch code
import torch.nn.functional as F  # noqa: TID253  # the same
from torch import Tensor  # noqa: TID253  # the same

import nas.models.build
from nas.models import depthwise
from nas.network.multipliers import scale_resolution
from nas.network.zoo import load_architecture

NETWORKS = ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0")
CHANNELS = 240


def torch_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
) -> Tensor:
    """Convolve as torch does."""
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of `work`."""
    used = time.process_time()
    work()
    return time.process_time() - used


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int) -> float:
    """Return the median of `rounds` ratios of `other` to `one`, after a first call of each."""
    one(), other()
    return median(seconds_of(other) / seconds_of(one) for _ in range(rounds))


def backward(convolve: Callable[..., Tensor], x: Tensor, weight: Tensor) -> None:
    """Convolve and take the gradient of the weights."""
    y = convolve(x, weight, None, 1, weight.shape[-1] // 2, len(weight))
    y.backward(y.detach())


def gradients(batch: int, rounds: int) -> None:
    """Print ratios of a convolution and the gradient of its weights."""
    for kernel in (3, 5, 7):
        for side in range(1, kernel + 1):
            x = torch.randn(batch, CHANNELS, side, side).to(memory_format=torch.channels_last)
            weight = torch.randn(CHANNELS, 1, kernel, kernel, requires_grad=True)
            found = ratio(
                lambda x=x, w=weight: backward(depthwise.conv2d, x, w),
                lambda x=x, w=weight: backward(torch_conv2d, x, w),
                rounds,
            )
            print(f"kernel {kernel}, map of {side} x {side}: torch takes {found:.1f} times as long")


def steps(batch: int, resolution: int, rounds: int) -> None:
    """Print ratios of whole steps."""
    for name in NETWORKS:
        arch = scale_resolution(load_architecture(name), resolution)
        model = nas.models.build.build_model(arch).to(memory_format=torch.channels_last)
        images = torch.randn(batch, 3, resolution, resolution)
        images = images.contiguous(memory_format=torch.channels_last)

        def step(convolve: Callable[..., Tensor], model=model, images=images) -> None:  # type: ignore[no-untyped-def]  # the same
            nas.models.build.conv2d = convolve
            model(images).square().mean().backward()

        found = ratio(lambda s=step: s(depthwise.conv2d), lambda s=step: s(torch_conv2d), rounds)
        print(f"{name}, {resolution} px: a step takes torch {found:.2f} times as long", flush=True)


def main() -> None:
    """Print all ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    gradients(given.batch, given.rounds)
    steps(given.batch, given.resolution, given.rounds)


if __name__ == "__main__":
    main()
