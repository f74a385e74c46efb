"""Kinds of blocks: each file here is one, and defines its layers."""

from collections.abc import Callable
from dataclasses import dataclass

from nas.network.blocks import Block
from nas.network.layers import Conv, Layer, Shape, Squeeze

EXPANDS = "expansion"
CHOICES = (EXPANDS, "kernel", "se", "act", "skip")
"""The fields of a space's rows that a kind of block may or may not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """A kind of block, as returned by the `create()` of its plugin.

    `lower` is called with a block and the shape of its input, or the shapes of several, and returns
    the block's layers in order; each layer reads the one before it. Numbers in block and shapes may
    be arrays, for many blocks at once, so `lower` may add, multiply and divide them but never
    compare them. To branch, use the block's properties `expands`, `squeezes` and `keeps_channels`,
    its `kind`, `stride` and activations, which are the same for all blocks.

    `choices` are the fields of a row, out of `CHOICES`, that the kind reads: with "expansion" a
    block has `hidden_channels`, with "skip" it may have a shortcut around its layers, by the rules
    of `Block.skip`. `in_spaces` is False for kinds that occur only in detectors and other graphs.
    """

    lower: Callable[..., tuple[Layer, ...]]
    choices: tuple[str, ...] = ("kernel", "se", "act")
    in_spaces: bool = True


def pointwise_conv(name: str, shape: Shape, out_channels: int, act: str) -> Conv:
    """Return a 1x1 convolution with normalisation."""
    return Conv(name=name, in_shape=shape, out_shape=(out_channels, *shape[1:]), act=act)


def full_conv(name: str, block: Block, shape: Shape, out_channels: int, groups: int) -> Conv:
    """Return a convolution with the kernel, stride and activation of its block."""
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
    """Return a depthwise convolution with the kernel, stride and activation of `block`."""
    return full_conv(name, block, shape, shape[0], groups=shape[0])


def squeeze(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the squeeze-and-excitation of `block`, or nothing if it has none."""
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
