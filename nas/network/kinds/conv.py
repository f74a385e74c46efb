"""A plain convolution: convolution, normalisation, activation, and optionally SE."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind, full_conv, squeeze
from nas.network.layers import Layer, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    first = full_conv("conv", block, shape, block.out_channels, groups=1)
    return (first, *squeeze(block, first.out_shape))


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower)
