"""A convolution with bias and without normalisation, such as the last ones of detectors."""

from dataclasses import replace

from nas.network.blocks import Block
from nas.network.kinds import BlockKind, full_conv
from nas.network.layers import Layer, Shape


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    return (replace(full_conv("conv", block, shape, block.out_channels, groups=1), norm=False),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
