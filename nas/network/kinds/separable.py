"""A depthwise-separable convolution, both parts activated (MobileNetV1)."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind, depthwise_conv, pointwise_conv, squeeze
from nas.network.layers import Layer, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    first = depthwise_conv(block, shape)
    second = pointwise_conv("pointwise", first.out_shape, block.out_channels, block.act)
    return (first, *squeeze(block, first.out_shape), second)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower)
