"""Nearest-neighbour upsampling by the stride."""

from nas.network.blocks import Block
from nas.network.kinds import BlockKind
from nas.network.layers import Layer, Shape, Upsample


def lower(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of one block."""
    factor = block.stride
    larger = (shape[0], shape[1] * factor, shape[2] * factor)
    return (Upsample(name="upsample", in_shape=shape, out_shape=larger, factor=factor),)


def create() -> BlockKind:
    """Return the kind."""
    return BlockKind(lower=lower, in_spaces=False)
