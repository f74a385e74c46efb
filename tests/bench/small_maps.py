"""Measure training steps with our convolutions on small maps, over torch's own.

python tests/bench/small_maps.py [--batch 64] [--resolution 64] [--rounds 7]

First depthwise gradients, by kernel and map, and pointwise ones on one pixel, with 240 channels;
then whole steps of networks, without an optimizer. Ratios are of processor time, on one thread, in
turns. It asserts nothing.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch  # noqa: TID253  # a benchmark of torch code
import torch.nn.functional as F  # noqa: TID253  # the same
from torch import Tensor  # noqa: TID253  # the same

import nas.models.build
from nas.models import small_maps
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
    groups = x.shape[1] // weight.shape[1]
    y = convolve(x, weight, None, 1, weight.shape[-1] // 2, groups)
    y.backward(y.detach())


def compare(name: str, x: Tensor, weight: Tensor, rounds: int) -> None:
    """Print the ratio of a convolution and the gradient of its weights."""
    x, weight = x.to(memory_format=torch.channels_last), weight.requires_grad_()
    found = ratio(
        lambda: backward(small_maps.conv2d, x, weight),
        lambda: backward(torch_conv2d, x, weight),
        rounds,
    )
    print(f"{name}: torch takes {found:.1f} times as long")


def gradients(batch: int, rounds: int) -> None:
    """Print ratios of a convolution and the gradient of its weights."""
    for kernel in (3, 5, 7):
        for side in range(1, kernel + 1):
            x = torch.randn(batch, CHANNELS, side, side)
            weight = torch.randn(CHANNELS, 1, kernel, kernel)
            compare(f"kernel {kernel}, map of {side} x {side}", x, weight, rounds)
    for channels in (CHANNELS // 4, CHANNELS, 4 * CHANNELS):
        x, weight = torch.randn(batch, CHANNELS, 1, 1), torch.randn(channels, CHANNELS, 1, 1)
        compare(f"pointwise to {channels} channels, one pixel", x, weight, rounds)


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

        found = ratio(lambda s=step: s(small_maps.conv2d), lambda s=step: s(torch_conv2d), rounds)
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
