"""A depthwise convolution alone, with normalisation and activation."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind, depthwise_conv
from nas.network.layers import Layer, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (depthwise_conv(block, shape),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
