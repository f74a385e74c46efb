"""Kinds of blocks: each file here is one, and says what layers it becomes."""

from collections.abc import Callable
from dataclasses import dataclass

from nas.network.blocks import Block
from nas.network.layers import Conv, Layer, Shape, Squeeze

EXPANDS = "expansion"
CHOICES = (EXPANDS, "kernel", "se", "act", "skip")
"""The fields of a space's rows that a kind of block may leave without influence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """What `create()` of a kind of block returns.

    `lower` is called with a block and the shape of its input, or of each of several, and returns
    its layers in order; each reads the one before it. The numbers in block and shape may be arrays,
    of many blocks at once: they are added, multiplied and divided, and never compared; what a block
    has is asked by its properties `expands`, `squeezes` and `keeps_channels`, by `kind`, `stride`
    and the activations, which are the same for all of them.

    `choices` are the fields of a row that it reads, of `CHOICES`: with "expansion" a block has
    `hidden_channels`, with "skip" it may have a shortcut around its layers, as `Block.skip` says.
    `in_spaces` is False for kinds that stand in detectors and other graphs alone.
    """

    lower: Callable[..., tuple[Layer, ...]]
    choices: tuple[str, ...] = ("kernel", "se", "act")
    in_spaces: bool = True


def pointwise_conv(name: str, shape: Shape, out_channels: int, act: str) -> Conv:
    """Return a 1x1 convolution with normalisation."""
    return Conv(name=name, in_shape=shape, out_shape=(out_channels, *shape[1:]), act=act)


def full_conv(name: str, block: Block, shape: Shape, out_channels: int, groups: int) -> Conv:
    """Return a convolution with the kernel, the stride and the activation of its block."""
    stride = block.stride
    return Conv(
        name=name,
        in_shape=shape,
        out_shape=(out_channels, -(-shape[1] // stride), -(-shape[2] // stride)),
        kernel=block.kernel,
        stride=stride,
        groups=groups,
        act=block.act,
    )


def depthwise_conv(block: Block, shape: Shape, *, name: str = "depthwise") -> Conv:
    """Return a depthwise convolution with the kernel, the stride and the activation of `block`."""
    return full_conv(name, block, shape, shape[0], groups=shape[0])


def squeeze(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the squeeze-and-excitation of `block`, nothing where it has none."""
    if not block.squeezes:
        return ()
    return (
        Squeeze(
            name="squeeze",
            shape=shape,
            channels=block.se_channels,
            act=block.se_act,
            gate=block.gate,
        ),
    )
